"""The ranked table of options and its downloads, the same on every page."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from estimator.estimates import Estimates

HOUR_S = 3600.0
_COLUMNS: dict[str, Any] = {
    "option": st.column_config.TextColumn("Hardware", pinned=True),
    "provider": "Provider",
    "region": "Region",
    "usd_per_hour": st.column_config.NumberColumn("$/h", format="%.2f", help="all machines together"),
    "run_time_h": st.column_config.NumberColumn("Run time, h", format="%.3g"),
    "cost_usd": st.column_config.NumberColumn("Cost, $", format="%.2f"),
    "cost_range": "Range, $",
    "memory": "Memory, GB",
    "mfu": st.column_config.NumberColumn("MFU", format="percent"),
    "bound": "Bound",
    "precision": "Precision",
    "basis": "Basis",
    "price_as_of": "Price of",
    "why_not": "Why not",
}


def table_frame(found: Estimates) -> pd.DataFrame:
    """Return the columns that people read, hours and dollars, one row an option."""
    frame = found.to_frame()
    if frame.empty:
        return pd.DataFrame(columns=list(_COLUMNS))
    frame["option"] = frame["count"].astype(str) + "× " + frame["device"]
    frame["run_time_h"] = frame["run_time_s"] / HOUR_S
    frame["cost_range"] = [
        _range(low, high) for low, high in zip(frame["cost_usd_low"], frame["cost_usd_high"], strict=True)
    ]
    pairs = zip(frame["peak_memory_bytes"], frame["memory_bytes"], strict=True)
    frame["memory"] = [_of(used, size) for used, size in pairs]
    return frame[list(_COLUMNS)]


def _range(low: float | None, high: float | None) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f"{low:,.3g} to {high:,.3g}"


def _of(used: float | None, size: float | None) -> str:
    return "" if pd.isna(used) or pd.isna(size) else f"{float(used or 0) / 1e9:.3g} of {float(size or 0) / 1e9:.3g}"


def ranked_table(found: Estimates, alt: str) -> None:
    """Draw the table of options."""
    st.dataframe(table_frame(found), hide_index=True, column_config=_COLUMNS, alt=alt)


def download(found: Estimates, name: str) -> None:
    """Offer what is shown as CSV and as the JSON of the command line."""
    left, right, _ = st.columns([1, 1, 4])
    left.download_button(
        "CSV", lambda: found.to_frame().to_csv(index=False), f"{name}.csv", "text/csv", on_click="ignore"
    )
    right.download_button(
        "JSON", lambda: json.dumps(found.to_dict(), indent=1), f"{name}.json", "application/json", on_click="ignore"
    )
