"""Estimate: what the run takes and costs, where one step's time goes, and the ranked table."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from dashboard.answers import estimates
from dashboard.asking import answered
from dashboard.choosing import pick
from dashboard.exports import chart, command_block, downloads
from dashboard.figures import (
    capacity_of,
    cost_of,
    cost_range,
    escaped,
    hardware_of,
    memory_of,
    provider_of,
    time_of,
    time_range,
    told,
    utilisation_of,
)
from dashboard.kept import explained, parts_of
from dashboard.run_state import Question
from dashboard.sidebar import current
from dashboard.table import able, assumed, export_of, ranked_table
from estimator.estimates import Estimates
from estimator.result import Estimate


@st.fragment
def page() -> None:
    """Draw the page for the question in the sidebar."""
    question = current()
    st.title("What will it take, and what will it cost?")
    st.caption(f"{question.told}; the sidebar changes it (on a phone: the arrows at the top).")
    found = answered(lambda: estimates(question))
    if found is not None:
        _answer(question, found)


def _answer(question: Question, found: Estimates) -> None:
    best = found.cheapest() or found.fastest()
    figures = []
    if best is None:
        st.warning("Nothing that was asked for can run this as asked. The table says why, and what would help.")
    else:
        _headline(found, best)
        figures.append(_where_time_goes(found))
    title = f"{len(able(found))} of {len(found)} options can run it"
    st.subheader(title)
    ranked_table(found, alt="Ranked table of all options, cheapest first")
    downloads(export_of(found, "flopcast-estimate", title, figures, question.command()))
    command_block(question.command())
    with st.expander("What was assumed"):
        st.markdown("\n".join(f"- {line}" for line in assumed(found)))


def _headline(found: Estimates, best: Estimate) -> None:
    fastest = found.fastest() or best
    also = ", and the fastest" if fastest is best else f".  \nFastest: **{escaped(told(fastest))}**"
    st.markdown(f"Cheapest: **{escaped(told(best))}**{also}.")
    figures = (
        ("Cost", cost_of(best), cost_range(best)),
        ("Run time", time_of(best), time_range(best)),
        ("Memory per device", memory_of(best), capacity_of(best)),
        ("MFU", utilisation_of(best), f"bound by {best.bound}"),
    )
    for column, (label, value, beside) in zip(st.columns(4), figures, strict=True):
        column.metric(
            label,
            escaped(value),
            escaped(beside),
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )


def _where_time_goes(found: Estimates) -> go.Figure:
    rows = {f"{hardware_of(row)}, {provider_of(row)}": row for row in able(found)}
    row = rows[pick("Where one step's time goes on", list(rows), "step_on", next(iter(rows)))]
    figure = parts_of(row)
    chart(figure, f"Parts of one training step on {hardware_of(row)}", "flopcast-step")
    with st.expander("How it is computed"):
        st.code(explained(row), language=None)
    return figure


page()
