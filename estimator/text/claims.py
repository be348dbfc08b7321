"""Claims and the jobs of newcomers as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from estimator.text.figures import figure
from estimator.text.notes import notes
from estimator.text.table import Column, Row, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from estimator.claims import Claim, NewcomerRow
    from estimator.text.page import Page

LINES = (
    Column("", align="left"),
    Column("", align="left"),
    Column("FIGURE", gap=1),
    Column("UNIT", align="left"),
    Column("HOW", align="left", drop=1),
)
JOBS = (
    Column("JOB", align="left"),
    Column("PLACE", align="left"),
    Column("TIME", "h"),
    Column("COST", "$"),
    Column("CALENDAR", "days"),
)


def claims_text(found: Sequence[Claim], page: Page) -> str:
    """Return the claims one below the other."""
    return page.render(*(part for claim in found for part in _claim(claim, page)))


def _claim(claim: Claim, page: Page) -> Iterator[RenderableType]:
    yield f"{claim.title}  [{claim.key}]"
    yield ""
    rows = [
        Row([when, line.what, figure(line.value), line.unit, line.how])
        for when, lines in (("then", claim.then), ("flopcast", claim.now))
        for line in lines
    ]
    yield from table(LINES, rows, page.width)
    yield ""
    yield notes([("Claimed", claim.said), ("Verdict", claim.verdict), ("Sources", "; ".join(claim.sources))])
    yield ""


def newcomers_text(rows: Sequence[NewcomerRow], page: Page) -> str:
    """Return the table of jobs and places."""
    lines = [
        Row([row.job, row.place, figure(row.hours), figure(row.usd), figure(row.calendar_days)], note=row.note)
        for row in rows
    ]
    return page.render(*table(JOBS, lines, page.width))
