"""Compare: every option as a point of cost and time, the ones worth considering named."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboard.answers import estimates
from dashboard.asking import answered
from dashboard.choosing import tell_unknown
from dashboard.comparing import Compared, best_of_kinds, compared
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
from dashboard.limit_boxes import limit_boxes
from dashboard.limits import Limits
from dashboard.palette import KINDS
from dashboard.sidebar import current
from dashboard.table import export_of, ranked_table
from estimator.estimates import Estimates

MOST_CARDS: Final = 4


@st.fragment
def page() -> None:
    """Draw the page for the question in the sidebar."""
    question = current()
    st.title("GPU, TPU or CPU?")
    limits = limit_boxes()
    found = answered(lambda: estimates(question))
    if found is None:
        return
    _compare(compared(found, _kinds(found), limits), limits, question.command())
    command_block(question.command(), "without the kinds, budget and deadline of this page")


def _compare(shown: Compared, limits: Limits, command: str) -> None:
    if shown.figure is None:
        st.warning("Nothing that is priced can run this as asked; the table says why, and what would help.")
        ranked_table(shown.shown, alt="All options")
        return
    _heading(shown, limits)
    alt = f"Cost against run time of {len(shown.priced)} options; {len(shown.frontier)} on the Pareto frontier"
    chart(shown.figure, alt, "flopcast-compare", key="cost_time")
    _cards(shown.keeping if len(shown.keeping) else shown.priced)
    ranked_table(shown.listed, alt="All options, cheapest first")
    downloads(export_of(shown.listed, "flopcast-compare", "GPU, TPU or CPU?", [shown.figure], command))


def _cards(found: Estimates) -> None:
    """Put options of the visitor's choice side by side; without a choice the cheapest and the fastest."""
    rows = {f"{hardware_of(row)}, {provider_of(row)}": row for row in found}
    ends = [row for row in (found.cheapest(), found.fastest()) if row is not None]
    first = list(dict.fromkeys(f"{hardware_of(row)}, {provider_of(row)}" for row in ends))
    tell_unknown("cards", list(rows))
    picked = st.multiselect(
        "Side by side",
        list(rows),
        key="cards",
        bind="query-params",
        placeholder="the cheapest and the fastest",
        max_selections=MOST_CARDS,
    )
    for column, name in zip(st.columns(max(2, len(picked))), picked or first, strict=False):
        row = rows[name]
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{name}**")
            st.markdown(
                escaped(
                    f"{cost_of(row)}, {cost_range(row)}  \n{time_of(row)}, {time_range(row)}  \n"
                    f"{memory_of(row)} {capacity_of(row)}  \nMFU {utilisation_of(row)}, bound by {row.bound}  \n"
                    f"{row.precision}; basis: {row.basis}"
                )
            )


def _heading(shown: Compared, limits: Limits) -> None:
    priced, keeping = shown.priced, shown.keeping
    if limits and not len(keeping):
        _nothing_keeps(priced, limits)
        return
    kept = f"{len(keeping)} of {len(priced)} options keep to {limits}; " if limits else ""
    of_all = "" if limits else f" of {len(priced)} options"
    verb = "is" if len(shown.frontier) == 1 else "are"
    st.subheader(escaped(f"{kept}{len(shown.frontier)}{of_all} {verb} worth considering"))
    st.markdown(escaped(f"{best_of_kinds(keeping)}."))
    st.caption("The others are both slower and dearer than one of them. Point at a mark for its range and price.")


def _nothing_keeps(priced: Estimates, limits: Limits) -> None:
    st.subheader(escaped(f"Nothing keeps to {limits}"))
    nearest = limits.nearest(priced)
    if nearest is not None:
        st.warning(escaped(f"Nearest: {told(nearest)} ({limits.over(nearest)}). The table lists all options."))


def _kinds(found: Estimates) -> tuple[str, ...]:
    """Return the kinds that are shown: those chosen, or all while none of the chosen is there.

    Every kind has its button whatever the answer: the box, and with it the link, would forget a kind that is not there.
    """
    present = [kind for kind in KINDS if any(row.device.kind == kind for row in found)]
    kinds = st.pills(
        "Kinds of device",
        list(KINDS),
        selection_mode="multi",
        format_func=lambda kind: KINDS[kind].label,
        key="kinds",
        bind="query-params",
    )
    chosen = [kind for kind in present if kind in kinds]
    if kinds and not chosen:
        st.caption(f"No {' or '.join(KINDS[kind].label for kind in kinds)} is among the options; all kinds are shown.")
    return tuple(chosen or present)


page()
