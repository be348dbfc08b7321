"""The sidebar: one run, edited on every page, held in the URL."""

from __future__ import annotations

import streamlit as st

from dashboard.answers import model_names
from dashboard.run_state import AMOUNTS, PRECISIONS, RunChoice, ignored_parameters
from hardware_db.errors import DataError
from profiles.model_profile import ModelProfile

DEFAULT_MODEL = "gpt2"
MAX_UPLOAD_BYTES = 16 * 2**20


def uploaded_profile() -> ModelProfile | None:
    """Return the profile that this visitor uploaded, if any."""
    profile = st.session_state.get("uploaded_profile")
    return profile if isinstance(profile, ModelProfile) else None


def run_choice() -> RunChoice:
    """Draw the sidebar and return what it says."""
    _warn_of_ignored()
    with st.sidebar:
        st.subheader("The run")
        model = _model()
        amount_kind, amount = _amount()
        batch = st.number_input("Global batch size", 1, 10_000_000, 256, key="batch", bind="query-params")
        sequence = st.number_input(
            "Sequence length",
            0,
            10_000_000,
            0,
            key="sequence",
            bind="query-params",
            help="tokens; 0: the model's own",
        )
        precision = st.selectbox(
            "Precision",
            PRECISIONS,
            key="precision",
            bind="query-params",
            help="auto: the best mixed precision that each device has; the table shows which",
        )
        st.link_button("Reset", "?", help="Back to the defaults")
    return RunChoice(model, amount_kind, amount, int(batch), int(sequence) or None, precision or PRECISIONS[0])


def _model() -> str:
    _upload()
    uploaded = uploaded_profile()
    names = [*([uploaded.model] if uploaded else []), *model_names()]
    names = list(dict.fromkeys(names))
    default = 0 if uploaded else names.index(DEFAULT_MODEL) if DEFAULT_MODEL in names else 0
    return st.selectbox("Model", names, index=default, key="model", bind="query-params") or names[default]


def _amount() -> tuple[str, str]:
    kind = st.selectbox("Amount of work, in", AMOUNTS, key="work", bind="query-params")
    amount = st.text_input("How much", "10B", key="amount", bind="query-params", help="10B, 1.5T, 300k")
    return kind or "tokens", amount or "10B"


def _upload() -> None:
    with st.expander("Your own model"):
        st.caption("`flopcast profile file.py:factory -o mine.json` makes a profile; it is read as data, never run.")
        file = st.file_uploader("Profile (JSON)", type=["json"], max_upload_size=MAX_UPLOAD_BYTES // 2**20)
        if file is None:
            st.session_state.pop("uploaded_profile", None)
            return
        try:
            st.session_state["uploaded_profile"] = ModelProfile.from_json(file.getvalue().decode("utf-8", "replace"))
        except DataError as error:
            st.session_state.pop("uploaded_profile", None)
            st.error(str(error))


def _warn_of_ignored() -> None:
    # Widgets drop a bad value from the URL when they are first drawn, so look before they are.
    if "link_checked" in st.session_state:
        return
    st.session_state["link_checked"] = True
    allowed = {"model": model_names(), "work": AMOUNTS, "precision": PRECISIONS}
    for message in ignored_parameters(st.query_params.to_dict(), allowed):
        st.warning(message)
