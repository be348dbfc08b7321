"""Links and profiles that nobody would write: answered or refused in a sentence, never with a traceback."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("streamlit")
from hostile import places
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard import answers, uploads
from dashboard.links import checks, complaints
from dashboard.run_state import AMOUNTS, Market, Question, RunChoice, parse_counts, parse_share
from hardware_db.errors import FlopcastError
from profiles.recall import known
from profiles.request import ProfileRequest

PROFILE = json.loads(known("mnist-cnn", ProfileRequest(precision="float32")).to_json())
ODD = st.sampled_from(
    [None, True, -1, 0, 10**18, 10**400, 1.5, float("nan"), float("inf"), "", "x" * 50, [], {}, [[[]]], "\ud800"]
)
LINKS = checks(["gpt2", "resnet50"], ["h100-sxm"])
BRIEF = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


PLACES = list(places(PROFILE, most=6))


def changed(place: tuple, value: object) -> bytes:
    document = json.loads(json.dumps(PROFILE))
    node = document
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    return json.dumps(document).encode("utf-8", "surrogatepass")


@BRIEF
@given(st.sampled_from(PLACES), ODD)
def test_a_profile_with_something_else_in_one_place(place, value):
    try:
        upload = uploads.accept("x.json", changed(place, value))
        run = RunChoice(upload.label, "samples", "1M", 256, upload="x.json", precision="float32")
        answers.estimates(Question(run, Market(hardware="t4,h100-sxm")))
    except FlopcastError as error:
        assert 0 < len(str(error)) < 2000


@BRIEF
@given(st.lists(st.tuples(st.sampled_from([*LINKS, "x"]) | st.text(max_size=80), st.text(max_size=200)), max_size=6))
def test_every_part_of_a_link_is_taken_or_complained_of(query):
    said = complaints(query, LINKS)
    assert len(said) <= len(query)
    assert all(len(complaint.text) < 1200 for complaint in said)
    assert {complaint.name for complaint in said} >= {name for name, _ in query if name not in LINKS}


@BRIEF
@given(st.sampled_from(AMOUNTS), st.text(max_size=30), st.text(max_size=30))
def test_amounts_counts_and_shares_that_cannot_be_read(kind, amount, text):
    profile = known("mnist-cnn", ProfileRequest(precision="float32"))
    for attempt in (
        lambda: RunChoice("mnist-cnn", kind, amount).run(profile),
        lambda: parse_counts(text),
        lambda: parse_share(text),
    ):
        try:
            attempt()
        except FlopcastError as error:
            assert str(error)
