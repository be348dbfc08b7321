"""What a validation found, as a table: one line a stratum, with the floor that a prediction has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table

if TYPE_CHECKING:
    from estimator.validation import Report, Stratum

COLUMNS = (
    Column("STRATUM", align="left"),
    Column("N"),
    Column("TIMED"),
    Column("MEDIAN", "%"),
    Column("P90", "%"),
    Column("BIAS", "%"),
    Column("≤20 %", "%", drop=3),
    Column("IN RANGE", "%", drop=2),
    Column("UTILISATION", "%", drop=5),
    Column("ROOFLINE", "%", drop=4),
    Column("MEMORY", drop=7),
    Column("MEDIAN", "%", drop=6),
)


def report_text(report: Report, page: Page | None = None) -> str:
    """Return the strata of a report, worst names and all; the last line is all rows together."""
    page = page or Page()
    rows = [_row(each, last=each is report.strata[-1]) for each in report.strata]
    lines = table(COLUMNS, rows, page.width)
    said = [
        ("Error", "predicted over measured, minus 1; median and 90th percentile of its size, bias its median"),
        ("Floor", "median error of a constant utilisation and of the datasheet roofline on the same rows"),
    ]
    return page.render(*lines, "", notes(said))


def _row(each: Stratum, *, last: bool) -> Row:
    floors = (each.constant_utilisation_error, each.datasheet_roofline_error)
    shares = (each.median_error, each.p90_error, each.bias, each.within_20_percent, each.coverage, *floors)
    memory = [str(each.memory_predicted) if each.memory_predicted else MISSING, _percent(each.memory_median_error)]
    cells = [each.stratum, str(each.n), str(each.predicted), *map(_percent, shares), *memory]
    return Row(cells, style="bold" if last else "")


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.1f}" if abs(share) < 0.1 else f"{100 * share:.0f}"
