"""What every page does first: ask, and where there is no answer yet, say so and wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from dashboard.figures import escaped
from dashboard.processes import Asked
from hardware_db.errors import FlopcastError

LOOK_EVERY_S = 0.5
Answer = TypeVar("Answer")


def answered(ask: Callable[[], Answer | Asked]) -> Answer | None:
    """Return what `ask` returns; None where the page has said why there is no answer (yet)."""
    try:
        found = ask()
    except FlopcastError as error:
        refused(str(error))
        return None
    if isinstance(found, Asked):
        working(found)
        return None
    return found


def worked_out(asked: Asked) -> Any | None:
    """Return what a process of the dashboard answered; None where the page has said why there is no answer (yet)."""
    if not asked.done:
        working(asked)
        return None
    if asked.error is not None:
        refused(asked.error)
        return None
    return json.loads(asked.answer)


def refused(message: str) -> None:
    """Say why there is no answer, each of its lines on a line."""
    st.error(escaped(message).replace("\n", "  \n"))


@st.fragment(run_every=LOOK_EVERY_S)
def working(asked: Asked) -> None:
    """Say what is being worked out, and draw the page anew once it is there."""
    if asked.done:
        st.rerun()
    st.info(f"{asked.told}, in a process of its own. {asked.seconds:.0f} s so far.")
