"""Boxes whose options an answer gives: each is in the link, and what a link says that is no option is told."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.links import complaints, one_of


def pick(label: str, options: Sequence[str], key: str, default: str, width: int = 460) -> str:
    """Draw a choice and return it; while nothing is chosen it is the default of the answer that is shown.

    The box itself stays empty then, so that a new answer brings its own default.
    """
    tell_unknown(key, options)
    chosen = st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder=default, width=width)
    return chosen or default


def tell_unknown(key: str, options: Sequence[str]) -> None:
    """Say what the link of a new visitor asks for that is none of the options; boxes drop it in silence."""
    told = st.session_state.setdefault("told_unknown", set())
    if key in told:
        return
    told.add(key)
    for complaint in complaints([(key, value) for value in st.query_params.get_all(key)], {key: one_of(options)}):
        st.warning(complaint.text)
