"""The Model page: sums of its charts are those of the profile; run without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard.model_charts import MEASURES, icicle, largest_groups, memory_timeline
from hardware_db import load
from profiles.breakdown import by_label
from profiles.model_profile import ModelProfile
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


@pytest.fixture(scope="module")
def profile() -> ModelProfile:
    found = known("mnist-cnn", ProfileRequest(precision="float32"))
    assert found is not None
    return found


def model_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run().switch_page("views/model.py").run()


@pytest.mark.parametrize("quantity", list(MEASURES))
def test_the_children_of_a_module_sum_to_it(profile, quantity):
    trace = icicle(profile, quantity).data[0]
    assert len(set(trace.ids)) == len(trace.ids)
    inside: dict[str, int] = {}
    for parent, value in zip(trace.parents, trace.values, strict=True):
        inside[parent] = inside.get(parent, 0) + value
    values = dict(zip(trace.ids, trace.values, strict=True))
    assert inside[""] == values[trace.ids[0]] > 0
    assert all(inside[name] == values[name] for name in values if name in inside)


def test_bars_of_operators_sum_to_the_model(profile):
    groups = by_label(profile, "operator")
    drawn = sum(sum(trace.x) for trace in largest_groups(groups, "flops").data)
    largest = sorted((group.flops.total for group in groups), reverse=True)[:15]
    assert drawn == sum(largest)


def test_the_timelines_highest_stack_is_the_peak(profile):
    timeline = profile.trace.recording.timeline
    figure = memory_timeline(timeline.at(profile.batch_size, None), load().device("h100-sxm"))
    stacked = [trace for trace in figure.data if trace.stackgroup]
    highest = max(sum(values) for values in zip(*(trace.y for trace in stacked), strict=True))
    assert highest * 2**30 == pytest.approx(profile.peak_memory_bytes)
    line = next(trace for trace in figure.data if trace.name == "h100-sxm has 80 GiB, above the chart")
    assert line.y[0] == load().device("h100-sxm").usable_memory_bytes / 2**30
    assert highest < figure.layout.yaxis.range[1] < line.y[0] / 4


def test_the_page_follows_model_batch_and_quantity():
    page = model_page(model="gpt2", micro="4", device="a10")
    assert not page.exception and not page.error and not page.warning
    assert "batch 4" in page.caption[1].value or any("batch 4" in each.value for each in page.caption)
    assert page.metric[0].value.startswith("124 M")
    names = [trace.get("name") for trace in json.loads(page.get("plotly_chart")[2].proto.spec)["data"]]
    assert "a10 has 24 GiB" in names and "activations" in names


def test_a_batch_that_cannot_be_is_explained():
    page = model_page(model="gpt2", sequence="100000")
    assert not page.exception
    assert any("positions" in error.value for error in page.error)
