"""Two ways to run something as a table, and the table that a pull request shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from estimator.text.figures import three_digits
from estimator.text.notes import notes
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_bytes, format_duration, format_usd

if TYPE_CHECKING:
    from estimator.advice.comparison import Comparison, Difference
    from estimator.text.page import Page


def comparison_text(found: Comparison, page: Page) -> str:
    """Return both sides, the change, and how likely the first is better."""
    columns = (Column("", align="left"), Column(found.left.name), Column(found.right.name), Column("CHANGE"))
    rows = [
        Row(["devices", found.left.where, found.right.where, ""]),
        *(Row(["precision", *(str(side.row.get("precision", MISSING)) for side in (found.left, found.right)), ""]),),
        *(Row(_cells(each)) for each in found.differences),
    ]
    said = "errors of the two taken as independent, except on the same devices, where the middle decides"
    return page.render(*table(columns, rows, page.width), "", found.sentence, notes([("Assumed", said)]))


def gate_text(found: Comparison, limits: Mapping[str, float], over: Sequence[str]) -> str:
    """Return the table of a pull request (Markdown): what was held against the baseline, and what exceeds it."""
    verdict = f"Above the limit: {', '.join(over)}." if over else "Within the limits."
    lines = [
        f"**{verdict}** Baseline {found.left.where}, now {found.right.where}.",
        "",
        "| quantity | baseline | now | change | limit |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for each in found.differences:
        limit = percent(limits[each.quantity]) if each.quantity in limits else ""
        mark = " ✗" if each.quantity in over else ""
        lines.append(f"| {' | '.join(_cells(each))}{mark} | {limit} |")
    return "\n".join(lines) + "\n"


def percent(change: float | None) -> str:
    """Return 0.123 as "+12.3 %"."""
    return MISSING if change is None else f"{100 * change:+.1f} %"


def _cells(each: Difference) -> list[str]:
    return [each.quantity, _told(each.left, each.unit), _told(each.right, each.unit), percent(each.change)]


def _told(value: float | None, unit: str) -> str:
    if value is None:
        return MISSING
    written = {
        "s": lambda: format_duration(value),
        "USD": lambda: format_usd(value),
        "USD/h": lambda: f"{format_usd(value)}/h",
        "byte": lambda: format_bytes(value),
    }
    return written[unit]() if unit in written else f"{three_digits(value)} {unit}"
