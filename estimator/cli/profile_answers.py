"""The answers of `flopcast profile`: one model, two side by side, one against its baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.model_options import ModelQuestion, profile_file
from estimator.cli.output import Answer, Output
from estimator.cli.profile_records import breakdown_records, profile_record, settings_of
from estimator.cli.progress import progress
from hardware_db.errors import UsageError, one_line

if TYPE_CHECKING:
    from estimator.text.page import Page
    from profiles.breakdown import Column
    from profiles.model_profile import ModelProfile


_NO_LINES = (
    "this profile has no lines of code: it was saved without them, or the model is made of torch's own modules alone. "
    "The lines of a library: flopcast profile MODEL --by source, with the model itself instead of a saved profile"
)


@dataclass(frozen=True, slots=True)
class View:
    """Which table of a profile to show: modules (`by` None) or groups, how deep, how many rows (0: all)."""

    by: Column | None = None
    depth: int | None = None
    top: int = 0


def profile_answer(profile: ModelProfile, view: View) -> Answer:
    """Answer with one profile; the rows of the table are the rows of --csv."""

    def text(page: Page) -> str:
        from estimator.text.profile_page import profile_text

        return profile_text(profile, page, view.by, view.depth, view.top)

    def rows() -> list[dict[str, Any]]:
        return breakdown_records(profile, view.by, view.depth, view.top)

    def results() -> list[dict[str, Any]]:
        return [{**profile_record(profile), "breakdown": rows()}]

    return Answer("profile", text, results, settings_of(profile), profile.notes, _warnings(profile, view), rows=rows)


def _warnings(profile: ModelProfile, view: View) -> list[str]:
    lines = [] if view.by != "source" or any(profile.trace.table.source.names) else [_NO_LINES]
    return [*_without_formula(profile), *lines]


def _without_formula(profile: ModelProfile) -> list[str]:
    missing = profile.uncounted
    if not missing:
        return []
    names = ", ".join(f"{each.operator} ({each.calls} calls)" for each in missing[:3])
    share = sum(each.share for each in missing)
    return [
        f"no formula for {names}{' …' * (len(missing) > 3)}: their FLOPs are estimated. "
        f"They are {share:.1%} of the bytes. Add one: docs/formulas.md"
    ]


def comparison_answer(left: ModelProfile, right: ModelProfile) -> Answer:
    """Answer with two profiles side by side."""
    from profiles.comparison import compare

    found = compare(left, right)
    rows = [{**asdict(each), "change": each.change} for each in (*found.quantities, *found.families)]
    run = {"left": settings_of(left), "right": settings_of(right)}
    return Answer("profile", lambda page: f"{found!r}\n", lambda: rows, run)


def cross_check_answer(question: ModelQuestion, output: Output) -> Answer:
    """Answer with the forward pass counted by flopcast, fvcore and torch; a saved profile cannot be counted again."""
    if profile_file(question.model) is not None:
        raise UsageError(f"--cross-check runs the model; {question.model} is a saved profile. Give the model itself")
    from profiles.cross_check import cross_check

    with progress(f"Counting {question.model} three times", output):
        found = cross_check(question.definition(), request=question.request())
    run = {"model": found.model, **asdict(question.request())}
    return Answer("profile", lambda page: f"{found!r}\n", found.records, run, found.notes)


def gate_answer(profile: ModelProfile, baseline: ModelProfile, limits: dict[str, float]) -> tuple[Answer, bool]:
    """Answer whether a model stays within its limits, and with the table for a pull request."""
    from profiles.comparison import GATE_ALIASES, compare, gate, gate_report

    violations = gate(profile, baseline, limits)
    report = gate_report(profile, baseline, limits)
    exceeded = {each.difference.quantity for each in violations}
    differences = {each.quantity: each for each in compare(baseline, profile).quantities}
    rows = []
    for name, limit in limits.items():
        found = differences[GATE_ALIASES.get(name, name)]
        change = {"baseline": found.left, "now": found.right, "change": found.change}
        rows.append({"quantity": found.quantity, **change, "limit": limit, "exceeded": found.quantity in exceeded})
    return Answer("profile", lambda page: report, lambda: rows, settings_of(profile)), not violations


def read_limits(_context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, float]:
    """Read limits of growth: "flops=+2%,memory=+5%" as {"flops": 0.02, "memory": 0.05}."""
    limits = {}
    for part in (text or "").split(",") if text else ():
        name, equals, limit = part.strip().partition("=")
        try:
            limits[name.strip()] = float(limit.strip().removesuffix("%")) / 100
        except ValueError:
            equals = ""
        if not name.strip() or not equals or not limit.strip().endswith("%"):
            option = parameter.opts[0]
            raise UsageError(
                f"{option} {one_line(text)}: give quantities and percents, for example {option} flops=+2%,memory=+5%"
            )
    return limits
