"""Estimate: what the run takes and costs, the ranked table, and where one step's time goes."""

from __future__ import annotations

from typing import cast

import streamlit as st

from dashboard.answers import estimates
from dashboard.charts import step_parts
from dashboard.run_state import PRICINGS, RunChoice
from dashboard.sidebar import uploaded_profile
from dashboard.table import download, ranked_table
from estimator.estimates import Estimates
from estimator.result import Estimate
from hardware_db.errors import FlopcastError
from hardware_db.units import format_bytes, format_duration, format_usd


def page() -> None:
    """Draw the page for the run in the sidebar."""
    choice = cast(RunChoice, st.session_state["run_choice"])
    st.title("What will it take, and what will it cost?")
    pricing = st.selectbox("Pricing", PRICINGS, key="pricing", bind="query-params", width=260)
    try:
        found = estimates(choice, uploaded_profile(), pricing or "on_demand")
    except FlopcastError as error:
        st.error(str(error))
        return
    _answer(choice, found.sort("cost"))


def _answer(choice: RunChoice, found: Estimates) -> None:
    best = found.cheapest()
    if best is None:
        st.warning(f"Nothing that is priced can run this: {_first_reason(found)}")
    else:
        _headline(found, best)
        _where_time_goes(found)
    st.subheader(f"{len(found.answered)} of {len(found)} priced options can run it")
    ranked_table(found, alt="Ranked table of all options, cheapest first")
    download(found, "flopcast-estimate")
    st.code(choice.command(), language="bash")
    with st.expander("What was assumed"):
        st.markdown("\n".join(f"- {line}" for line in [*found.assumptions, *found.warnings]))


def _first_reason(found: Estimates) -> str:
    return next((row.why_not for row in found if row.why_not), "no offers") or ""


def _headline(found: Estimates, best: Estimate) -> None:
    fastest = found.fastest() or best
    st.markdown(
        f"Cheapest: **{_name(best)}** from {_provider(best)}, about **{format_duration(best.run_time_s or 0)}** and "
        f"**{format_usd(best.cost_usd or 0)}**. Fastest: **{_name(fastest)}**, "
        f"{format_duration(fastest.run_time_s or 0)} and {format_usd(fastest.cost_usd or 0)}."
    )
    cost, time, memory, mfu = st.columns(4)
    cost.metric("Cost", format_usd(best.cost_usd or 0), help=_span(best, "cost"), border=True)
    time.metric("Run time", format_duration(best.run_time_s or 0), help=_span(best, "run_time"), border=True)
    memory.metric("Memory per device", _memory(best), help=_capacity(best), border=True)
    mfu.metric("MFU", f"{best.mfu:.0%}" if best.mfu is not None else "unknown", border=True)


def _span(row: Estimate, name: str) -> str:
    spread = row.cost if name == "cost" else row.run_time
    show = format_usd if name == "cost" else format_duration
    return f"range {show(spread.low)} to {show(spread.high)}" if spread else "unknown"


def _name(row: Estimate) -> str:
    return f"{row.count}× {row.device.id}"


def _provider(row: Estimate) -> str:
    return f"{row.offer.provider} ({row.offer.region})" if row.offer else "no provider"


def _memory(row: Estimate) -> str:
    return "unknown" if row.peak_memory_bytes is None else format_bytes(row.peak_memory_bytes)


def _capacity(row: Estimate) -> str:
    return "capacity unknown" if row.memory_bytes is None else f"of {format_bytes(row.memory_bytes)}"


def _where_time_goes(found: Estimates) -> None:
    rows = {f"{_name(row)}, {_provider(row)}": row for row in found.answered}
    picked = st.selectbox("Where one step's time goes on", list(rows), width=460)
    row = rows[picked or next(iter(rows))]
    buckets = dict(row.to_dict()["seconds_by_bound"] or {})
    st.plotly_chart(
        step_parts(buckets), config={"displaylogo": False}, alt=f"Parts of one training step on {_name(row)}"
    )
    with st.expander("How it is computed"):
        st.code(str(row.explain()), language=None)


page()
