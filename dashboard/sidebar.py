"""The sidebar: one question, edited on every page, held in the URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import streamlit as st

from dashboard import uploads
from dashboard.answers import hardware, places, recorded_names, zoo
from dashboard.asking import working
from dashboard.links import MOST, OPTIMIZERS, PRICINGS, checks, complaints, one_of
from dashboard.run_state import (
    AMOUNTS,
    AUTO,
    PRECISIONS,
    Market,
    Question,
    RunChoice,
    known_amounts,
    parse_counts,
    parse_share,
)
from hardware_db.errors import FlopcastError

DEFAULT_MODEL: Final = "gpt2"
DEFAULT_AMOUNT: Final = {"tokens": "10B", "samples": "100M", "steps": "100k"}
FIRST: Final = Question(RunChoice(DEFAULT_MODEL, AMOUNTS[0], DEFAULT_AMOUNT[AMOUNTS[0]]))
"""What a link without parameters asks."""
SIZES: Final = frozenset({"batch", "sequence", "image", "micro"})
COUNTED_IN: Final = "amp_bfloat16"
"""Precision in which an uploaded model is counted where the sidebar says auto."""
Value = TypeVar("Value")


def current() -> Question:
    """Return the question that the sidebar of this rerun says."""
    question = st.session_state["question"]
    assert isinstance(question, Question)
    return question


def draw_sidebar() -> Question:
    """Draw the sidebar and return what it says."""
    _read_link()
    wrong: list[str] = []
    with st.sidebar:
        st.subheader("The run")
        upload = _model()
        run = _run(upload, wrong)
        market = _market(wrong)
        st.link_button("Reset", "?", help="Back to the defaults")
    question = Question(run, market)
    for message in [*_link_complaints(question), *wrong]:
        st.warning(message)
    return question


def _model() -> uploads.Upload | None:
    _upload()
    mine = [label for label in st.session_state.get("uploads", []) if uploads.kept(label)]
    linked = st.query_params.get("model", "")
    if linked not in mine and uploads.kept(linked):
        mine.append(linked)
    options = [*mine, *zoo()]
    recorded = len(recorded_names())
    model = st.selectbox(
        "Model",
        options,
        index=options.index(DEFAULT_MODEL),
        key="model",
        bind="query-params",
        help=f"The first {recorded} names are recorded and answer at once; the others are counted once, which takes "
        "up to a minute and needs torch. Your own: below.",
    )
    return uploads.kept(model)


def _upload() -> None:
    with st.expander("Your own model"):
        st.caption(
            "A profile (`flopcast profile file.py:factory -o mine.json`), a Hugging Face config.json, a torch.export "
            ".pt2 or an ONNX file: read as data, never run, without network, and not kept on disk."
        )
        file = st.file_uploader(
            "Model or profile",
            type=list(uploads.KINDS),
            key="file",
            max_upload_size=uploads.MOST_BYTES // 2**20,
            on_change=_take_upload,
        )
        _read_so_far()
        if message := st.session_state.get("upload_error"):
            st.error(message)
        elif file is not None and (label := st.session_state.get("upload_label")):
            st.success(f"{file.name} is taken and chosen under Model. The link holds its hash: {label}")


def _take_upload() -> None:
    """Take a small profile as the model at once; have anything else read."""
    file, state = st.session_state["file"], st.session_state
    state["upload_error"] = state["upload_label"] = state["reading"] = None
    if file is None:
        return
    name, data = file.name, file.getvalue()
    try:
        if uploads.at_once(name, data):
            _choose(uploads.accept(name, data))
        else:
            precision = state.get("precision", AUTO)
            state["reading"] = uploads.start_reading(name, data, COUNTED_IN if precision == AUTO else precision)
            state["reading_name"] = name
    except FlopcastError as error:
        state["upload_error"] = str(error)


def _read_so_far() -> None:
    """Wait for the process that reads an upload, and take what it says."""
    state = st.session_state
    asked = state.get("reading")
    if asked is None:
        return
    if not asked.done:
        working(asked)
        return
    state["reading"] = None
    if asked.error is not None:
        state["upload_error"] = asked.error
        return
    try:
        _choose(uploads.accept(state["reading_name"], asked.answer.encode()))
    except FlopcastError as error:
        state["upload_error"] = str(error)


def _choose(upload: uploads.Upload) -> None:
    state = st.session_state
    state["uploads"] = list(dict.fromkeys([*state.get("uploads", []), upload.label]))
    state["upload_label"] = state["model"] = upload.label


def _run(upload: uploads.Upload | None, wrong: list[str]) -> RunChoice:
    model = st.session_state["model"]
    entry = upload.profile if upload else zoo()[model]
    _adapt(model if upload is None else upload.profile.model, entry.sequence_length is not None)
    kind, amount = _amount(entry.sequence_length is not None)
    batch = _size("Global batch size", "batch", "default 256")
    precision = _precision(upload)
    with st.expander("More of the run"):
        sequence = _own_size("Sequence length", "sequence", entry.sequence_length)
        image = _own_size("Image size", "image", entry.image_size)
        micro = _size("Micro-batch size", "micro", "the largest that fits")
        optimizer = upload.profile.optimizer if upload else _optimizer()
        mfu = _text("MFU instead of a prediction", "mfu", "0.4", parse_share, wrong)
    return RunChoice(
        model=model,
        amount_kind=kind,
        amount=amount,
        batch_size=batch,
        sequence_length=sequence,
        precision=upload.profile.precision if upload else precision,
        optimizer=None if optimizer == OPTIMIZERS[0] else optimizer,
        image_size=image,
        micro_batch_size=micro,
        mfu=mfu,
        upload=upload.file_name if upload else None,
    )


def _adapt(name: str, has_tokens: bool) -> None:
    """Take another unit of work, and no sequence length, where the model has no tokens; say so."""
    state = st.session_state
    if has_tokens:
        return
    if dropped := state.get("sequence"):
        st.info(f"{name} has no sequence; the sequence length {dropped} is left out.")
    if state.get("work", st.query_params.get("work", AMOUNTS[0])) == "tokens":
        amount = state.get("amount", st.query_params.get("amount", DEFAULT_AMOUNT["tokens"]))
        state["work"] = "samples"
        if amount == DEFAULT_AMOUNT["tokens"]:
            state["amount"] = amount = DEFAULT_AMOUNT["samples"]
        st.info(f"{name} has no tokens: the amount of work is now {amount} samples.")


def _amount(has_tokens: bool) -> tuple[str, str]:
    kinds = known_amounts(has_tokens)
    kind = st.selectbox("Amount of work, in", AMOUNTS, key="work", bind="query-params")
    if kind not in kinds:
        kind = kinds[0]
    amount = st.text_input(
        "How much", DEFAULT_AMOUNT["tokens"], key="amount", bind="query-params", help="10B, 1.5T, 3k"
    )
    return kind, amount or DEFAULT_AMOUNT[kind]


def _own_size(label: str, key: str, own: int | None) -> int | None:
    """Draw a size where the model has it; None for the model's own, which is the one that was recorded."""
    if own is None:
        return None
    size = _size(label, key, f"{own:,} (the model's own)")
    return None if size == own else size


def _size(label: str, key: str, default: str) -> int | None:
    """Draw a size that may be left empty; its placeholder says what is taken then."""
    bind: Literal["query-params"] | None = None if key in st.session_state["unbound"] else "query-params"
    value = st.number_input(
        label, min_value=1, max_value=MOST, value=None, step=1, key=key, bind=bind, placeholder=default
    )
    return None if value is None else int(value)


def _precision(upload: uploads.Upload | None) -> str:
    if upload is not None:
        st.caption(f"Precision {upload.profile.precision}, {upload.profile.optimizer}: as recorded in the profile")
        return upload.profile.precision
    return st.selectbox(
        "Precision",
        PRECISIONS,
        key="precision",
        bind="query-params",
        help="auto: the best mixed precision that each device has; the table shows which",
    )


def _optimizer() -> str:
    return st.selectbox("Optimizer", OPTIMIZERS, key="optimizer", bind="query-params")


def _text(
    label: str, key: str, example: str, parse: Callable[[str], Value], wrong: list[str], hint: str | None = None
) -> Value | None:
    """Draw a text that may be left empty; what cannot be read is left out and said."""
    text = st.text_input(label, key=key, bind="query-params", placeholder=example, help=hint)
    if not text or not text.strip():
        return None
    try:
        return parse(text.strip())
    except FlopcastError as error:
        wrong.append(f"{error}. It is left out.")
        return None


def _market(wrong: list[str]) -> Market:
    providers, regions = places()
    with st.expander("Where, and how it is paid", expanded=True):
        pricing = st.selectbox("Pricing", PRICINGS, key="pricing", bind="query-params")
        devices = _text("Hardware", "hardware", "all; h100-sxm, a100-*", str, wrong)
        counts = _text("Devices", "count", "as offered; 8 or 1,8,64", parse_counts, wrong, "How many are used at once")
        provider = _choice("Provider", "provider", providers)
        region = _choice("Region", "region", regions)
        all_offers = st.toggle("Every offer", key="all_offers", bind="query-params", help="not only the cheapest")
    return Market(pricing.replace("-", "_"), devices, counts, provider, region, all_offers)


def _choice(label: str, key: str, options: Sequence[str]) -> str | None:
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="all")


def _read_link() -> None:
    """Look at the link before widgets are drawn for the first time: they drop a bad value from the URL in silence."""
    state = st.session_state
    if "link_complaints" in state:
        return
    database = hardware().database
    _respell_pricing()
    providers, regions = places()
    linked = st.query_params.get("model", "")
    models = [*zoo(), *([linked] if uploads.kept(linked) else [])]
    allowed = {
        **checks(models, [device.id for device in database.devices()]),
        "provider": one_of(providers),
        "region": one_of(regions),
    }
    pairs = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    found = complaints(pairs, allowed)
    # The number box breaks on an infinite number in the URL: where there is one, it does not look there.
    state["unbound"] = {complaint.name for complaint in found} & SIZES
    state["link_complaints"] = [complaint.text for complaint in found]


def _respell_pricing() -> None:
    """Take the spelling of tables and JSON (reserved_1y), which links had once, for the command line's."""
    pricing = st.query_params.get("pricing", "")
    if "_" in pricing and pricing.replace("_", "-") in PRICINGS:
        del st.query_params["pricing"]
        st.session_state["pricing"] = pricing.replace("_", "-")


def _link_complaints(question: Question) -> list[str]:
    """Return what was wrong with the link, until the question is changed."""
    state = st.session_state
    if state.setdefault("linked_question", question) != question:
        state["link_complaints"] = []
    return list(state["link_complaints"])
