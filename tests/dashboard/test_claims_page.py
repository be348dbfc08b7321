"""The Claims page: what it shows is what `flopcast claims` says; run without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard import processes
from dashboard.processes import Asked

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
LINE = {"what": "time", "value": 355.359, "unit": "years", "how": "3.14e+23 FLOPs / 2.8e+13 FLOP/s"}
CLAIM = {"key": "k", "title": "T: $4", "said": "355 years", "verdict": "wrong by $1", "sources": ["arXiv:2005.14165"]}
ANSWER = {
    "claims": [{**CLAIM, "then": [LINE], "now": [{**LINE, "value": 159.01}]}],
    "newcomers": [
        {"job": "MNIST", "place": "t4", "hours": 0.1234, "usd": 0.05, "calendar_days": None, "note": ""},
        {"job": "MNIST", "place": "laptop", "hours": None, "usd": None, "calendar_days": None, "note": "no memory"},
    ],
}


def claims_page(monkeypatch: pytest.MonkeyPatch, asked: Asked) -> AppTest:
    monkeypatch.setattr(processes, "ask", lambda module, question, told: asked)
    return AppTest.from_file(APP, default_timeout=60).run().switch_page("views/claims.py").run()


def test_then_and_now_stand_side_by_side_with_verdict_and_sources(monkeypatch):
    page = claims_page(monkeypatch, Asked("x", answer=json.dumps(ANSWER), done=True))
    assert not page.exception and not page.error
    lines, jobs = (frame.value for frame in page.dataframe)
    assert list(lines["when"]) == ["then", "flopcast"] and list(lines["value"]) == [355.0, 159.0]
    assert jobs["hours"].iloc[0] == 0.123 and jobs["hours"].isna().iloc[1] and jobs["usd"].isna().iloc[1]
    assert {frame.proto.placeholder for frame in page.dataframe} == {"-"}
    assert any("wrong by" in text.value for text in page.markdown)
    assert any("arXiv:2005.14165" in caption.value for caption in page.caption)
    assert any(block.value == "flopcast claims k" for block in page.code)


def test_a_recomputation_that_fails_says_why(monkeypatch):
    page = claims_page(monkeypatch, Asked("x", error="no prices", done=True))
    assert not page.exception and [error.value for error in page.error] == ["no prices"]
