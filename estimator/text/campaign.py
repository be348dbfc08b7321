"""A plan of runs as a table: one line a stage, wall clock and device-hours apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.text.estimates import hardware_text
from estimator.text.figures import DURATION, MONEY, figure, span
from estimator.text.notes import notes
from estimator.text.table import MISSING, Column, Row, table

if TYPE_CHECKING:
    from estimator.campaign import Campaign
    from estimator.ranges import Range
    from estimator.result import Estimate
    from estimator.text.page import Page

COLUMNS = (
    Column("STAGE", align="left"),
    Column("RUNS"),
    Column("WALL CLOCK", gap=1),
    Column("RANGE", drop=2),
    Column("DEVICE-H"),
    Column("COST", gap=1),
    Column("RANGE", drop=1),
    Column("HOW", align="left", drop=3),
)


def campaign_text(row: Estimate, found: Campaign, page: Page) -> str:
    """Return the stages, their sum, and what one run is."""
    rows = [
        Row([stage.name, figure(stage.started), *span(stage.wall_s, DURATION), figure(stage.device_hours.mid),
             *_money(stage.cost_usd), stage.how])
        for stage in found.stages
    ]  # fmt: skip
    total = Row(["total", "", "", "", figure(found.device_hours.mid), *_money(found.total_usd)], style="bold")
    where = f" from {row.offer.provider}" if row.offer else ""
    one = f"{hardware_text(row)}{where}: {span(row.run_time, DURATION)[0]}, {_money(row.cost)[0]}"
    lines = [("One run", one), ("Assumed", "each trial on the devices of one run; rungs wait for their last trial")]
    return page.render(*table(COLUMNS, [*rows, total], page.width), "", notes(lines))


def _money(cost: Range | None) -> list[str]:
    middle, ends = span(cost, MONEY)
    return [middle if middle == MISSING else f"${middle}", ends]
