"""What a page shows after boxes were changed is what a new visitor sees who opens the link that says the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("streamlit")

from asked_pages import opened
from streamlit.testing.v1 import AppTest

pytestmark = pytest.mark.usefixtures("own_cache")

TOLD = ("title", "subheader", "markdown", "caption", "code", "warning", "info", "error", "success")
VIEWS = ("", "model", "compare", "advise", "plan", "roofline", "hardware", "accuracy", "claims")
RUN = {"model": "mnist-cnn", "work": "samples", "amount": "1M", "hardware": "t4,l4,h100-sxm", "scale": "1,8"}
DROPS_WORK = "the amount of work is now"
"""Said once, when a model without tokens is chosen: the new visitor's link has samples already."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a page: its kind in the tests of Streamlit, and its name in the link."""

    kind: str
    key: str


def visited(view: str, **query: Any) -> AppTest:
    page = opened(**query)
    return settled(page.switch_page(f"views/{view}.py").run() if view else page)


def settled(page: AppTest) -> AppTest:
    for _ in range(600):
        if not any("in a process of its own" in info.value for info in page.info):
            return page
        time.sleep(0.2)
        page.run()
    raise TimeoutError("a process of the page is not done within two minutes")


def shown(page: AppTest) -> list[tuple[Any, ...]]:
    """Return everything that is read on a page, boxes apart."""
    assert not page.exception
    said = [(kind, each.value) for kind in TOLD for each in page.get(kind)]
    figures = [("metric", each.label, each.value, each.delta) for each in page.metric]
    tables = [("table", each.value.to_csv()) for each in page.dataframe]
    charts = [("chart", each.proto.alt, each.proto.spec) for each in page.get("plotly_chart")]
    return [each for each in (*said, *figures, *tables, *charts) if DROPS_WORK not in str(each[1])]


def boxes(page: AppTest) -> Iterator[tuple[Box, Any]]:
    for kind in ("selectbox", "multiselect", "text_input", "number_input", "toggle", "button_group"):
        for each in page.get(kind):
            yield Box(kind, each.key), each


def link(page: AppTest) -> dict[str, Any]:
    """Return what the link of a page says: every box that has a value under its name."""
    found: dict[str, Any] = {}
    for box, each in boxes(page):
        value = named(each) if box.kind == "button_group" else each.value
        if value not in (None, "", [], False):
            found[box.key] = value if isinstance(value, list) else str(value).removesuffix(".0")
    return {name: "true" if value == "True" else value for name, value in found.items()}


def named(group: Any) -> list[str]:
    """Return the words on the buttons that are pressed: those are in the link."""
    return [option.content for place, option in enumerate(group.proto.options) if place in group.indices]


QUICK = [
    ("", {"step_on": "1× t4, aws us-east-1", "amount": "3M", "count": "1"}),
    ("model", {"device": "a100-sxm-80gb", "micro": 4, "of": "bytes"}),
    ("compare", {"hardware": "t4,tpu-v5e,graviton4", "budget": "$5", "model": "resnet50", "pricing": "spot"}),
    ("roofline", {"device": "l4", "precision": "float32"}),
    ("hardware", {"vendor": ["AMD"], "against": "memory", "device": "l4"}),
    ("accuracy", {"unseen": "device", "strata": ["pycls"]}),
]
"""Boxes of a page and what each is changed to, one after the other."""


@pytest.mark.parametrize(("view", "changes"), QUICK, ids=[view or "estimate" for view, _ in QUICK])
def test_boxes_changed_one_after_the_other_show_what_the_link_shows(view, changes):
    page = visited(view, **RUN)
    for name, value in changes.items():
        next(each for box, each in boxes(page) if box.key == name).set_value(value)
        page.run()
    fresh = visited(view, **link(page))
    assert shown(page) == shown(fresh)
    assert link(page) == link(fresh)


@pytest.mark.parametrize(("view", "name"), [("", "step_on"), ("hardware", "vendor"), ("accuracy", "strata")])
def test_what_a_link_asks_for_and_a_page_has_not_is_said(view, name):
    page = visited(view, **RUN, **{name: "nonsense"})
    assert not page.exception
    assert [text.value for text in page.warning if f"asks for {name} 'nonsense': not known here" in text.value]


def test_a_kind_that_is_not_there_is_said_and_remembered():
    page = visited("compare", **RUN | {"hardware": "t4"})
    page.pills(key="kinds").set_value(["tpu"]).run()
    assert any("No TPU is among the options" in text.value for text in page.caption)
    page.text_input(key="hardware").set_value("t4,tpu-v5e").run()
    assert '"name":"TPU"' in page.get("plotly_chart")[0].proto.spec
    assert '"name":"GPU"' not in page.get("plotly_chart")[0].proto.spec
    assert shown(page) == shown(visited("compare", **RUN | {"hardware": "t4,tpu-v5e", "kinds": "TPU"}))
