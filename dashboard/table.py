"""The ranked table of options, the table of those that cannot, and their downloads; the same on every page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.exports import Export, grid, labelled
from dashboard.figures import hardware_of, memory_pair, rounded
from dashboard.once import once
from estimator.estimates import Estimates
from estimator.ranges import Range
from estimator.result import Estimate
from estimator.text.estimates import SHORT_PRECISIONS
from estimator.text.figures import figure

HOUR_S: Final = 3600.0
WRAPPED: Final = 84
"""Pixels of a row whose sentences wrap over a few lines."""
_COLUMNS: Final[dict[str, Any]] = {
    "option": st.column_config.TextColumn("Hardware", pinned=True, width=146),
    "provider": st.column_config.TextColumn("Provider", width=104),
    "usd_per_hour": st.column_config.NumberColumn("$/h", format="localized", width=52, help="all machines together"),
    "run_time_h": st.column_config.NumberColumn("Run, h", format="localized", width=52),
    "run_time_range": st.column_config.TextColumn("Range, h", width=92),
    "cost_usd": st.column_config.NumberColumn("Cost, $", format="localized", width=58),
    "cost_range": st.column_config.TextColumn("Range, $", width=92),
    "memory": st.column_config.TextColumn("GiB", width=56, help="memory needed / there, of each device"),
    "mfu": st.column_config.NumberColumn("MFU", format="percent", width=46),
    "bound": st.column_config.TextColumn("Bound", width=62),
    "precision": st.column_config.TextColumn("Precision", width=72),
}
_WHY_NOT: Final[dict[str, Any]] = {
    "option": st.column_config.TextColumn("Hardware", pinned=True),
    "memory": st.column_config.TextColumn("Memory, GiB", width=95, help="needed / there, of each device"),
    "reason": st.column_config.TextColumn("Why not", width="large"),
    "remedy": st.column_config.TextColumn("What would help", width="large"),
}


@once
def able(found: Estimates) -> Estimates:
    """Return the options that can run it."""
    return found.answered


@once
def unable(found: Estimates) -> Estimates:
    """Return the options that cannot."""
    return found.unanswered


@once
def assumed(found: Estimates) -> tuple[str, ...]:
    """Return in sentences what every figure rests on, and what to know before trusting them."""
    return (*found.assumptions, *found.warnings)


@once
def table_frame(found: Estimates) -> pd.DataFrame:
    """Return the columns that people read, hours and dollars with three significant digits, one row an option."""
    return pd.DataFrame([_row(row) for row in found], columns=list(_COLUMNS))


def _row(row: Estimate) -> dict[str, object]:
    return {
        "option": hardware_of(row),
        "provider": row.offer.provider if row.offer else "-",
        "usd_per_hour": rounded(row.rental.usd_per_hour) if row.rental else None,
        "run_time_h": rounded((row.run_time_s or 0) / HOUR_S) if row.run_time else None,
        "run_time_range": _ends(row.run_time, HOUR_S),
        "cost_usd": rounded(row.cost_usd),
        "cost_range": _ends(row.cost),
        "memory": memory_pair(row),
        "mfu": None if row.mfu is None else float(f"{row.mfu:.2g}"),
        "bound": row.bound,
        "precision": SHORT_PRECISIONS.get(row.precision, row.precision),
    }


def _ends(spread: Range | None, unit: float = 1.0) -> str:
    return "" if spread is None else f"{figure(spread.low, unit)} to {figure(spread.high, unit)}"


def ranked_table(found: Estimates, alt: str) -> None:
    """Draw the options that can, best first, and under them those that cannot, each with its reason."""
    can, cannot = able(found), unable(found)
    if len(can):
        grid(table_frame(can), _COLUMNS, alt=alt)
    if not len(cannot):
        return
    with st.expander(f"{len(cannot)} options cannot run it, and why", expanded=not len(can)):
        grid(reasons_frame(cannot), _WHY_NOT, "Options that cannot run it, and why", row_height=WRAPPED)


@once
def reasons_frame(found: Estimates) -> pd.DataFrame:
    """Return why each option cannot run it, and what would make it."""
    return pd.DataFrame([_reason(row) for row in found], columns=list(_WHY_NOT))


def _reason(row: Estimate) -> dict[str, object]:
    reason, _, remedy = (row.why_not or "").partition("\n")
    memory = memory_pair(row) if row.peak_memory_bytes is not None else "-"
    return {"option": hardware_of(row), "memory": memory, "reason": reason, "remedy": remedy.replace("\n", ". ")}


def export_of(found: Estimates, name: str, title: str, figures: Sequence[go.Figure], command: str) -> Export:
    """Return what is shown for download: every column as CSV, the JSON of the command line, a page of its own."""
    notes = [*assumed(found), command]
    return Export(name, title, found.to_frame, figures, found.to_dict, notes, lambda: _read(found))


def _read(found: Estimates) -> pd.DataFrame:
    """Return the options that can, as the page shows them, under its headings."""
    return labelled(table_frame(able(found)), _COLUMNS)
