"""The answers of `flopcast profile`: one model, two side by side, one against its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from estimator.cli.output import Answer
from estimator.cli.profile_records import breakdown_records, profile_record, settings_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.text.page import Page
    from profiles.breakdown import Column
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True, slots=True)
class View:
    """Which table of a profile to show: modules (`by` None) or groups, how deep, how many rows (0: all)."""

    by: Column | None = None
    depth: int | None = None
    top: int = 0


def profile_answer(profile: ModelProfile, view: View) -> Answer:
    """Answer with one profile; the rows of the table are the rows of --csv."""

    def text(page: Page) -> str:
        from estimator.text.profiles import profile_text

        return profile_text(profile, page, view.by, view.depth, view.top)

    rows = breakdown_records(profile, view.by, view.depth)
    rows = rows[: view.top] if view.top else rows
    record = {**profile_record(profile), "breakdown": rows}
    return Answer("profile", text, [record], settings_of(profile), profile.notes, _warnings(profile), rows=rows)


def _warnings(profile: ModelProfile) -> list[str]:
    missing = profile.uncounted
    if not missing:
        return []
    names = ", ".join(f"{each.operator} ({each.calls} calls)" for each in missing[:3])
    share = sum(each.share for each in missing)
    return [
        f"{len(missing)} operators have no formula, their FLOPs are estimated: {names}{' …' * (len(missing) > 3)}. "
        f"They are {share:.1%} of the bytes"
    ]


def comparison_answer(left: ModelProfile, right: ModelProfile) -> Answer:
    """Answer with two profiles side by side."""
    from profiles.comparison import compare

    found = compare(left, right)
    rows = [{str(name): value for name, value in row.items()} for row in found.to_frame().to_dict("records")]
    run = {"left": settings_of(left), "right": settings_of(right)}
    return Answer("profile", lambda page: f"{found!r}\n", rows, run)


def gate_answer(profile: ModelProfile, baseline: ModelProfile, limits: dict[str, float]) -> tuple[Answer, bool]:
    """Answer whether a model stays within its limits, and with the table for a pull request."""
    from profiles.comparison import gate, gate_report

    violations = gate(profile, baseline, limits)
    report = gate_report(profile, baseline, limits)
    rows = [
        {"quantity": name, "limit": limit, "exceeded": any(each.difference.quantity == name for each in violations)}
        for name, limit in limits.items()
    ]
    return Answer("profile", lambda page: report, rows, settings_of(profile)), not violations


def read_limits(_context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, float]:
    """Read limits of growth: "flops=+2%,memory=+5%" as {"flops": 0.02, "memory": 0.05}."""
    limits = {}
    for part in (text or "").split(",") if text else ():
        name, equals, limit = part.strip().partition("=")
        try:
            limits[name.strip()] = float(limit.strip().removesuffix("%")) / 100
        except ValueError:
            equals = ""
        if not equals or not limit.strip().endswith("%"):
            option = parameter.opts[0]
            raise UsageError(
                f"{option} {text}: give quantities and percents, for example {option} flops=+2%,memory=+5%"
            )
    return limits
