"""A plan of runs as a table: one line a stage, wall clock and device-hours apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.text.estimates import hardware_text
from estimator.text.figures import DURATION, MONEY, figure, span
from estimator.text.notes import notes
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_duration, format_usd

if TYPE_CHECKING:
    from estimator.campaign import Choice, Limits
    from estimator.ranges import Range
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


ASSUMED = (
    "each trial on the devices of one run; rungs wait for their last trial; trials that go on load what they have "
    "learnt; every run is billed by itself"
)


def sentence_of(best: Choice, limits: Limits) -> str:
    """Return where the plan is carried out, or that nothing keeps its limits and what comes nearest."""
    said = [format_usd(limits.budget_usd)] if limits.budget_usd is not None else []
    said += [format_duration(limits.deadline_s)] if limits.deadline_s is not None else []
    where = f"{hardware_text(best.row)}{f' from {best.row.offer.provider}' if best.row.offer else ''}"
    took = f"{format_duration(best.campaign.wall_s.mid)} and {_money(best.campaign.total_usd)[0]}"
    if best.safe:
        sure = f", which keeps {' and '.join(said)} in {best.kept:.0%} of cases" if said else ""
        return f"The plan takes {took} on {where}{sure}."
    return f"Nothing keeps {' and '.join(said)} in 80% of cases. Nearest: {where}, {took} ({best.kept:.0%} of cases)."


def campaign_text(best: Choice, sentence: str, page: Page) -> str:
    """Return the sentence, the stages, their sum, and what one run is."""
    row, found = best.row, best.campaign
    rows = [
        Row([stage.name, figure(stage.started), *span(stage.wall_s, DURATION), figure(stage.device_hours.mid),
             *_money(stage.cost_usd), stage.how])
        for stage in found.stages
    ]  # fmt: skip
    total = Row(
        ["total", "", *span(found.wall_s, DURATION), figure(found.device_hours.mid), *_money(found.total_usd)],
        style="bold",
    )
    where = f" from {row.offer.provider}" if row.offer else ""
    one = f"{hardware_text(row)}{where}: {span(row.run_time, DURATION)[0]}, {_money(row.cost)[0]}"
    lines = [("One run", one), ("Assumed", ASSUMED)]
    if len(found.stages) > 1 and found.stages[-1].name == "retraining":
        lines.append(("Wall clock", "of search and final runs; retraining is spread over its months"))
    return page.render(sentence, "", *table(COLUMNS, [*rows, total], page.width), "", notes(lines))


def _money(cost: Range | None) -> list[str]:
    middle, ends = span(cost, MONEY)
    return [middle if middle == MISSING else f"${middle}", ends]
