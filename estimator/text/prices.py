"""Prices over time, and what a refresh brought, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from estimator.text.figures import price
from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import Column, Row, table

if TYPE_CHECKING:
    from hardware_db.price_refresh import Refresh

HISTORY = (
    Column("SEEN", align="left"),
    Column("PROVIDER", align="left"),
    Column("PRICING", align="left"),
    Column("OFFERS", drop=1),
    Column("LOWEST", "$/H"),
    Column("MEDIAN", "$/H", drop=2),
    Column("HIGHEST", "$/H"),
)
REFRESHED = (Column("PROVIDER", align="left"), Column("OFFERS"))


def history_text(page: Page, device: str, rows: Sequence[Mapping[str, Any]], *, free: bool = False) -> str:
    """Return one line for each day, provider and pricing, oldest first; prices of one device for one hour.

    `free` says that free machines were asked for: those are services with limits, not prices over time.
    """
    if not rows and free:
        return page.render(
            f"Free tiers have no price by the hour: flopcast hardware {device} lists them, with their limits."
        )
    if not rows:
        return page.render(f"No such price of {device} was ever recorded.")
    lines = [Row(_history_cells(row)) for row in rows]
    footer = [
        (device, "price of one device for one hour, over regions and machines"),
        ("Next", f"flopcast hardware {device}"),
    ]
    return page.render(*table(HISTORY, lines, page.width), "", notes(footer))


def _history_cells(row: Mapping[str, Any]) -> list[str]:
    prices = [price(row[f"{name}_usd"]) for name in ("lowest", "median", "highest")]
    return [str(row["as_of"]), row["provider"], row["pricing"].replace("_", "-"), str(row["offers"]), *prices]


def refresh_text(page: Page, found: Refresh) -> str:
    """Return how many prices came from whom, and what was left out for which reason."""
    lines = [Row([provider, f"{count:,}"]) for provider, count in sorted(found.offers.items())]
    reasons = sorted(found.left_out.items(), key=lambda item: -item[1])
    when = f"{found.snapshot.taken_at:%Y-%m-%d %H:%M} UTC"
    added = f"{found.snapshot.offers:,} prices, {when}"
    footer = [("Stored", added if found.snapshot.added else f"nothing: these {added} already")]
    footer += [("Left out", "; ".join(f"{reason}: {count:,}" for reason, count in reasons))] if reasons else []
    return page.render(*table(REFRESHED, lines, page.width), "", notes(footer))
