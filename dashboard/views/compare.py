"""Compare: every option as a point of cost and time, the ones worth considering named."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pandas as pd
import streamlit as st

from dashboard.answers import estimates
from dashboard.charts import cost_time_scatter
from dashboard.palette import KINDS
from dashboard.run_state import PRICINGS, RunChoice
from dashboard.sidebar import uploaded_profile
from dashboard.table import download, ranked_table
from estimator.estimates import Estimates
from hardware_db.errors import FlopcastError
from hardware_db.units import parse_duration_s, parse_usd


def page() -> None:
    """Draw the page for the run in the sidebar."""
    choice = cast(RunChoice, st.session_state["run_choice"])
    st.title("GPU, TPU or CPU?")
    pricing, limits = _controls()
    try:
        found = estimates(choice, uploaded_profile(), pricing)
    except FlopcastError as error:
        st.error(str(error))
        return
    _compare(found.sort("cost"), limits)
    st.code(choice.command(["--pricing", pricing]), language="bash")


def _controls() -> tuple[str, tuple[float | None, float | None]]:
    left, middle, right = st.columns(3)
    pricing = left.selectbox("Pricing", PRICINGS, key="pricing", bind="query-params")
    budget = middle.text_input("Budget", key="budget", bind="query-params", placeholder="$500")
    deadline = right.text_input("Deadline", key="deadline", bind="query-params", placeholder="3d")
    return pricing or "on_demand", (_read(budget, "usd"), _read(deadline, "duration"))


def _read(text: str | None, what: str) -> float | None:
    if not text:
        return None
    try:
        return parse_usd(text) if what == "usd" else parse_duration_s(text)
    except FlopcastError as error:
        st.warning(str(error))
        return None


def _compare(found: Estimates, limits: tuple[float | None, float | None]) -> None:
    shown = _of_kinds(found)
    priced = shown.answered
    if not priced.cheapest():
        st.warning("Nothing that is priced can run this; the table says why.")
    else:
        frontier = priced.pareto()
        st.subheader(f"{len(frontier)} of {len(priced)} options are worth considering")
        st.caption("The others are both slower and dearer than one of them. Bars of the range: point at a mark.")
        figure = cost_time_scatter(_frame(priced), _frame(frontier), limits)
        st.plotly_chart(
            figure,
            key="cost_time",
            config={"displaylogo": False},
            alt=f"Cost against run time of {len(priced)} options; {len(frontier)} on the Pareto frontier",
        )
    ranked_table(shown, alt="All options, cheapest first")
    download(shown, "flopcast-compare")


def _of_kinds(found: Estimates) -> Estimates:
    present = [kind for kind in KINDS if any(row.device.kind == kind for row in found)]
    kinds = st.pills(
        "Kinds of device",
        present,
        selection_mode="multi",
        default=present,
        format_func=lambda kind: KINDS[kind].label,
        key="kinds",
        bind="query-params",
    )
    chosen = kinds or present
    return replace(found, rows=tuple(row for row in found if row.device.kind in chosen))


def _frame(rows: Estimates) -> pd.DataFrame:
    frame = rows.to_frame()
    return frame[frame["cost_usd"].notna()] if not frame.empty else frame


page()
