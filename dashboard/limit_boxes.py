"""The boxes for budget and deadline, the same on every page that has them."""

from __future__ import annotations

import streamlit as st

from dashboard.limits import Limits
from hardware_db.errors import FlopcastError
from hardware_db.units import parse_duration_s, parse_usd


def limit_boxes() -> Limits:
    """Draw both boxes and return what they say; what cannot be read is left out and said."""
    left, right = st.columns(2)
    budget = left.text_input("Budget", key="budget", bind="query-params", placeholder="$500")
    deadline = right.text_input("Deadline", key="deadline", bind="query-params", placeholder="3d")
    return Limits(_read(budget, "usd"), _read(deadline, "duration"))


def _read(text: str | None, what: str) -> float | None:
    if not text:
        return None
    try:
        value = parse_usd(text) if what == "usd" else parse_duration_s(text)
    except FlopcastError as error:
        st.warning(f"{error}. It is left out.")
        return None
    if value > 0:
        return value
    st.warning(f"{text} is no limit: give more than nothing. It is left out.")
    return None
