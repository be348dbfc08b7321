"""The dashboard's entry script: page set-up, the question in the sidebar, the pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.sidebar import draw_sidebar

VIEWS = Path(__file__).parent / "views"
SIDEBAR_PX = 260  # wide enough for its boxes; the rest of a small screen is for tables

st.set_page_config(page_title="flopcast", page_icon="⏱️", layout="wide", initial_sidebar_state=SIDEBAR_PX)
page = st.navigation(
    [
        st.Page(VIEWS / "estimate.py", title="Estimate", default=True),
        st.Page(VIEWS / "model.py", title="Model", url_path="model"),
        st.Page(VIEWS / "compare.py", title="Compare", url_path="compare"),
        st.Page(VIEWS / "advise.py", title="Advise", url_path="advise"),
        st.Page(VIEWS / "plan.py", title="Plan", url_path="plan"),
        st.Page(VIEWS / "roofline.py", title="Roofline", url_path="roofline"),
        st.Page(VIEWS / "hardware.py", title="Hardware", url_path="hardware"),
        st.Page(VIEWS / "accuracy.py", title="Accuracy", url_path="accuracy"),
        st.Page(VIEWS / "claims.py", title="Claims", url_path="claims"),
    ]
)
st.session_state["question"] = draw_sidebar()
page.run()
