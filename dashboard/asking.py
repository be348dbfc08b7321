"""What every page does first: ask, and where there is no answer yet, say so and wait."""

from __future__ import annotations

import streamlit as st

from dashboard.answers import Pending, estimates
from dashboard.counting import Counting
from dashboard.processes import Asked
from dashboard.run_state import Question
from estimator.estimates import Estimates
from hardware_db.errors import FlopcastError

LOOK_EVERY_S = 0.5


def asked(question: Question) -> Estimates | None:
    """Return the answers to the question; None where the page has said why there are none (yet)."""
    try:
        found = estimates(question)
    except FlopcastError as error:
        st.error(str(error).replace("\n", "  \n"))
        return None
    if isinstance(found, Pending):
        waiting(found.counting)
        return None
    return found


@st.fragment(run_every=LOOK_EVERY_S)
def waiting(counting: Counting) -> None:
    """Say what is being counted, and draw the page anew once it is there."""
    if counting.done:
        st.rerun()
    precisions = ", ".join(request.precision for request in counting.requests)
    st.info(
        f"Counting {counting.model} in {precisions} once, in a process of its own; it is kept for the next time. "
        f"{counting.seconds:.0f} s so far."
    )


@st.fragment(run_every=LOOK_EVERY_S)
def working(asked: Asked) -> None:
    """Say what is being worked out, and draw the page anew once it is there."""
    if asked.done:
        st.rerun()
    st.info(f"{asked.told}, in a process of its own. {asked.seconds:.0f} s so far.")
