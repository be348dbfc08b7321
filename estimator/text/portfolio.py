"""Advice for many jobs as a table: one line a job, and their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from estimator.text.advice import PAID
from estimator.text.notes import notes
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_duration, format_usd

if TYPE_CHECKING:
    from estimator.text.page import Page

COLUMNS = (
    Column("JOB", align="left"),
    Column("HARDWARE", align="left"),
    Column("PROVIDER", align="left", drop=1),
    Column("RUN TIME"),
    Column("COST", gap=1),
    Column("RANGE", drop=2),
)


def portfolio_text(rows: Sequence[Mapping[str, Any]], page: Page) -> str:
    """Return the recommendation of each job, why others have none, and the sum."""
    kept = [row for row in rows if row["answered"]]
    cost = sum(row["cost_usd"] for row in kept)
    low, high = (sum(row[f"cost_usd_{end}"] for row in kept) for end in ("low", "high"))
    total = [
        "total",
        f"{len(kept)} of {len(rows)} jobs",
        "",
        "",
        format_usd(cost),
        f"{format_usd(low)}-{format_usd(high)}",
    ]
    lines = [*(_line(row) for row in rows), Row(total, style="bold")]
    said = "each job on its own: no machine is shared, and ranges are added as if all were dear together"
    return page.render(*table(COLUMNS, lines, page.width), "", notes([("Assumed", said)]))


def _line(row: Mapping[str, Any]) -> Row:
    if not row["answered"]:
        return Row([row["name"]], note=row["sentence"], style="red")
    paid = f" {PAID[row['pricing']]}" if row["pricing"] in PAID else ""
    ends = f"{format_usd(row['cost_usd_low'])}-{format_usd(row['cost_usd_high'])}"
    where = f"{row['provider']}{paid}" if row["provider"] else MISSING
    hardware = f"{row['count']}× {row['device']}"
    return Row([row["name"], hardware, where, format_duration(row["run_time_s"]), format_usd(row["cost_usd"]), ends])
