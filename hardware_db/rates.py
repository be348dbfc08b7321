"""FLOPs that one compute unit does in one clock, by architecture: what a stated peak is held against."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from functools import cache

from hardware_db.devices import PEAKS, is_used
from hardware_db.records import Device, Figure
from hardware_db.tables import rows

#: Peaks that follow from another of the same device by a ratio that is a rule of its own: narrow -> wide ones.
RATIOS: Mapping[str, tuple[str, ...]] = {
    "tf32": ("bfloat16",),
    "float8": ("bfloat16",),
    "float4": ("float8",),
    "int8": ("float16", "bfloat16"),
}


@cache
def rates() -> Mapping[tuple[str, str, str], float]:
    """Return dense FLOPs per compute unit and clock: (architecture, engine, precision) to the rate."""
    return {
        (row["architecture"], row["engine"], row["precision"]): float(row["flops_per_clock"])
        for row in rows("rates.csv")
    }


@cache
def _architectures() -> Mapping[str, str]:
    return {architecture.casefold(): architecture for architecture, _, _ in rates()}


def rate_of(device: Device, engine: str, precision: str) -> float | None:
    """Return the rate of a device's architecture (case does not matter), None where it is not known."""
    architecture = _architectures().get(device.architecture.casefold(), device.architecture)
    return rates().get((architecture, engine, precision))


def clock_of(device: Device, engine: str) -> float | None:
    """Return the clock [Hz] that the peaks of an engine are stated at."""
    if engine == "vector" and device.kind != "cpu":
        return device.boost_clock_hz
    return device.peak_clock_hz if engine == "vector" else device.peak_clock_hz or device.boost_clock_hz


def unchecked_peaks(device: Device, checked: Collection[Figure] = ()) -> Iterator[str]:
    """Yield which peaks nothing holds against units x rate x clock, one sentence a reason.

    `checked` are figures that were held against it elsewhere: those of the published tables.
    """
    reasons: dict[str, list[str]] = {}
    for item in device.figures:
        if item.quantity not in PEAKS or not is_used(item) or item in checked:
            continue
        engine, precision = item.quantity.removesuffix("_peak"), item.precision
        why = _why_unchecked(device, engine, precision)
        if why and not (engine == "matrix" and _follows(device, precision)):
            reasons.setdefault(why, []).append(f"{item.quantity} {precision}")
    for why, names in reasons.items():
        yield f"not checked against units x rate x clock: {', '.join(names)} ({why})"


def _follows(device: Device, precision: str) -> bool:
    """Whether a peak is held by its ratio against another one that is checked itself."""
    wider = [wide for wide in RATIOS.get(precision, ()) if wide in device.matrix_peaks]
    if precision == "tf32" and device.vendor != "NVIDIA":
        return False
    return any(_why_unchecked(device, "matrix", wide) is None or _follows(device, wide) for wide in wider)


def _why_unchecked(device: Device, engine: str, precision: str) -> str | None:
    if not device.architecture:
        return "architecture not given"
    if device.architecture.casefold() not in _architectures():
        close = difflib.get_close_matches(device.architecture.casefold(), _architectures(), n=3)
        hint = f". Did you mean {', '.join(_architectures()[name] for name in close)}?" if close else ""
        return f"no rate of architecture {device.architecture!r} is known{hint}"
    if rate_of(device, engine, precision) is None:
        return f"no such rate of {device.architecture} is known"
    lacking = ["compute_units"] if device.compute_units is None else []
    lacking += (
        ["boost_clock" if engine == "vector" and device.kind != "cpu" else "peak_clock"]
        if clock_of(device, engine) is None
        else []
    )
    return f"{' and '.join(lacking)} not given" if lacking else None
