"""A machine profile as text: what each kind of work reached, and what the datasheet says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from estimator.text.notes import notes
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_bytes, format_duration, format_rate
from profiles.benchmark.drift import MULTIPLYING, FamilyDrift, fastest

if TYPE_CHECKING:
    from estimator.cli.benchmark_memory import MeasuredMemory
    from estimator.text.page import Page
    from hardware_db import Device
    from profiles.machine_profile import MachineProfile, Timing

COLUMNS = (
    Column("", align="left"),
    Column("MEASURED", align="right"),
    Column("±", "%"),
    Column("DATASHEET", align="right", drop=3),
    Column("SHARE", "%", drop=2),
    Column("CASE", align="left", drop=1),
)
DRIFT_COLUMNS = (
    Column("", align="left"),
    Column("CASES"),
    Column("TIME NOW / THEN"),
    Column("", align="left"),
)
TIMED = ("launch", "training step")
"""Families of which the time says more than a rate."""


def benchmark_text(page: Page, profile: MachineProfile, device: Device | None, said: Sequence[tuple[str, str]]) -> str:
    """Return what was measured, family by family, beside the datasheet of the device."""
    rows = [*_rates(profile, device), *(_timed(timing) for timing in profile.of_family(*TIMED))]
    return page.render(_title(profile), "", *table(COLUMNS, rows, page.width), "", notes(said))


def drift_text(page: Page, drifts: Sequence[FamilyDrift], now: MachineProfile, then: MachineProfile) -> str:
    """Return how the machine compares with a recorded one."""
    slower = [f"{each.family} {each.precision}" for each in drifts if each.slower]
    verdict = f"more than 10 % slower: {', '.join(slower)}" if slower else "no family is more than 10 % slower"
    rows = [
        Row([f"{each.family} {each.precision}", str(each.cases), f"{each.ratio:.2f}", "slower" if each.slower else ""])
        for each in drifts
    ]
    title = f"Against {then.machine.reported}, recorded on {then.date}"
    said = [("Result", verdict)]
    if now.machine.reported != then.machine.reported:
        said.append(("Note", f"this is another model, {now.machine.reported}: the ratios compare the two"))
    return page.render(title, "", *table(DRIFT_COLUMNS, rows, page.width), "", notes(said))


def _title(profile: MachineProfile) -> str:
    machine = profile.machine
    versions = [f"{name} {version}" for name, version in machine.versions if name in ("torch", "cuda", "rocm")]
    parts = [
        machine.reported + (f" ({machine.device})" if machine.device else ""),
        f"driver {machine.driver}" if machine.driver else "",
        f"{machine.threads} threads" if machine.threads else "",
        *versions,
        f"{profile.mode}: {len(profile.timings)} cases",
    ]
    return " · ".join(part for part in parts if part)


def _rates(profile: MachineProfile, device: Device | None) -> Iterator[Row]:
    """Yield the best case of every family and precision."""
    seen: dict[tuple[str, str], None] = {}
    for timing in profile.timings:
        if timing.family not in TIMED:
            seen.setdefault((timing.family, timing.precision))
    for family, precision in seen:
        best = fastest(profile.timings, family, precision)
        if best is not None:
            yield _rate(best, device)


def _rate(timing: Timing, device: Device | None) -> Row:
    work, unit = (timing.flops, "FLOP/s") if timing.family in MULTIPLYING else (timing.moved_bytes, "B/s")
    measured = work / timing.typical_s
    sheet = _sheet(timing, device)
    return Row(
        [
            f"{timing.family} {timing.precision}",
            format_rate(measured, unit),
            f"{100 * timing.spread:.0f}",
            MISSING if sheet is None else format_rate(sheet, unit),
            MISSING if sheet is None else f"{100 * measured / sheet:.0f}",
            timing.name,
        ]
    )


def _sheet(timing: Timing, device: Device | None) -> float | None:
    """Return the datasheet's figure that a case comes nearest to; None where it has none of its own."""
    if device is None:
        return None
    if timing.family in MULTIPLYING:
        return device.peak_flops_per_s(timing.precision) if device.supports(timing.precision) else None
    return device.memory_bandwidth_bytes_per_s if timing.family == "copy" else None


def _timed(timing: Timing) -> Row:
    return Row([timing.name, format_duration(timing.typical_s), f"{100 * timing.spread:.0f}", MISSING, MISSING, ""])


def memory_lines(found: MeasuredMemory) -> list[str]:
    """Return what a step took at most, beside what was predicted."""
    measured, predicted = found.measured_bytes, found.predicted_bytes
    lines = [
        f"{format_bytes(measured)} of tensors at the peak of a training step, predicted {format_bytes(predicted)} "
        f"({predicted / measured - 1:+.1%})"
    ]
    if found.held_bytes is not None:
        what = "resident set of the process" if found.device == "cpu" else "held by the allocator"
        low, high = format_bytes(found.predicted_held_bytes_low), format_bytes(found.predicted_held_bytes_high)
        excess = found.predicted_held_bytes / found.held_bytes - 1
        lines.append(
            f"{format_bytes(found.held_bytes)} {what}, predicted {format_bytes(found.predicted_held_bytes)} "
            f"({excess:+.1%}), 80 % of cases {low} to {high}"
        )
    return lines
