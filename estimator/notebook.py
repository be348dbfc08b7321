"""Estimates as HTML for a notebook: the terminal's figures in a table, without colours, so that dark themes work."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from estimator.text.estimates import hardware_text, memory_text, question_facts
from estimator.text.figures import DURATION, MONEY, share, span

if TYPE_CHECKING:
    from estimator.estimates import Estimates
    from estimator.result import Estimate

SHOWN = 20
HEADS = ("hardware", "offer", "$/h", "run time", "range", "cost", "range", "memory GiB", "MFU", "bound", "basis")
PLACE = 3
"""Columns before the figures; a row without an answer puts its reason in place of the rest."""


def estimates_html(estimates: Estimates) -> str:
    """Return what was asked, the first rows as a table, what was left off, and the assumptions; all text is escaped."""
    asked = f"<p><b>{escape(' · '.join(question_facts(estimates.runs)))}</b></p>"
    heads = "".join(f"<th>{escape(head)}</th>" for head in HEADS)
    body = "".join(_row(row) for row in estimates.rows[:SHOWN])
    more = len(estimates) - SHOWN
    rest = f"<p>{more} more rows: .to_frame()</p>" if more > 0 else ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in (*estimates.warnings, *estimates.assumptions))
    return f"{asked}<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{rest}<ul>{lines}</ul>"


def _row(row: Estimate) -> str:
    offer = f"{row.offer.provider}, {row.offer.region}" if row.offer else "-"
    price = f"{row.rental.usd_per_hour:,.2f}" if row.rental else "-"
    place = _cells((hardware_text(row), offer, price))
    if row.why_not is not None:
        return f'<tr>{place}<td colspan="{len(HEADS) - PLACE}">{escape(row.why_not)}</td></tr>'
    time, cost = span(row.run_time, DURATION), span(row.cost, MONEY)
    dollars = f"${cost[0]}" if row.cost else cost[0]
    figures = (*time, dollars, cost[1], memory_text(row), share(row.mfu), row.bound or "-", row.basis or "-")
    return f"<tr>{place}{_cells(figures)}</tr>"


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)
