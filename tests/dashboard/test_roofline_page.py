"""The Roofline page: bubbles and roofs are those of the estimator, by hand where it can be; run without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard.roofline_charts import roofline_chart
from estimator import TrainingRun
from estimator.roofline import Roof, roofline
from estimator.workload import Workload
from hardware_db import load
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


@pytest.fixture(scope="module")
def work() -> Workload:
    profile = known("gpt2", ProfileRequest(precision="amp_bfloat16"))
    return Workload(TrainingRun(profile, steps=1))


def roofline_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run().switch_page("views/roofline.py").run()


def test_a_roof_by_hand():
    roof = Roof("datasheet", 989.4e12, 3.35e12)
    assert roof.ridge == pytest.approx(295.34, rel=1e-4)
    assert roof.at(1.0) == 3.35e12
    assert roof.at(1e4) == 989.4e12


def test_bubbles_hold_all_the_arithmetic_of_a_step(work):
    device = load().device("h100-sxm")
    found = roofline(work, device, 4, passes=3)
    totals = work.table(4).totals("executed_flops")
    assert sum(bubble.flops for bubble in found.bubbles) == pytest.approx(
        3 * (totals.forward + totals.backward) + totals.optimizer
    )
    seconds = work.breakdown(device, 4).device_s[1]
    weights = [1.0 if phase == "optimizer" else 3.0 for phase in work.table(4).phase.values]
    total = sum(each * weight for each, weight in zip(seconds, weights, strict=True))
    assert sum(bubble.seconds for bubble in found.bubbles) == pytest.approx(total * (1 - found.without_flops))
    assert sum(found.bounds.values()) == pytest.approx(1)


def test_a_product_by_hand(work):
    """The head of GPT-2: 4 x 1,024 tokens by 768 by 50,257 words, in bfloat16."""
    found = roofline(work, load().device("h100-sxm"), 4)
    flops = 2 * 4096 * 768 * 50257
    head = next(b for b in found.bubbles if b.phase == "forward" and b.flops == b.calls * flops)
    moved = 2 * (4096 * 768 + 768 * 50257 + 4096 * 50257)
    assert head.flops_per_byte == pytest.approx(flops / moved, rel=1e-6)
    assert head.flops_per_s == pytest.approx(head.flops / head.seconds)
    assert head.bound == "compute" and head.flops_per_s < found.datasheet.flops_per_s


def test_roofs_are_the_published_figures_and_what_is_sustained_of_them(work):
    device = load().device("h100-sxm")
    found = roofline(work, device, 4)
    assert found.datasheet.flops_per_s == device.peak_flops_per_s("bfloat16")
    assert found.datasheet.bytes_per_s == device.memory_bandwidth_bytes_per_s
    assert 0.3 < found.sustained.flops_per_s / found.datasheet.flops_per_s < 1
    assert found.sustained.basis in ("calibrated", "sibling", "measured")


def test_the_chart_draws_each_bubble_once_and_larger_ones_for_more_time(work):
    found = roofline(work, load().device("h100-sxm"), 4)
    marks = [trace for trace in roofline_chart(found).data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in marks) == len(found.bubbles)
    assert len({trace.marker.symbol for trace in marks}) == len(marks), "colour is never alone"
    longest = found.bubbles[0]
    sizes = {y: size for trace in marks for y, size in zip(trace.y, trace.marker.size, strict=True)}
    assert sizes[longest.flops_per_s] == max(sizes.values())


def test_the_page_follows_device_and_micro_batch():
    page = roofline_page(model="gpt2", device="a100-sxm-80gb", micro="2", precision="amp_bfloat16")
    assert not page.exception and not page.error and not page.warning
    assert "× micro-batch 2" in page.main.caption[0].value
    assert page.main.subheader[0].value.endswith(("memory", "compute", "launch"))
    names = [trace["name"] for trace in json.loads(page.get("plotly_chart")[0].proto.spec)["data"]]
    assert names[0].startswith("datasheet: 312 TFLOP/s")
    shares = page.dataframe[0].value["share"]
    assert shares.is_monotonic_decreasing and 0.5 < shares.sum() <= 1


def test_what_does_not_fit_is_drawn_with_the_reason():
    page = roofline_page(model="llama-3.1-8b", device="t4", precision="float32")
    assert not page.exception and not page.error
    assert any("needs" in warning.value and "Drawn all the same" in warning.value for warning in page.warning)


def test_a_precision_that_a_device_lacks_is_explained():
    page = roofline_page(model="gpt2", device="v100-pcie-16gb", precision="amp_bfloat16")
    assert not page.exception
    assert any("bfloat16" in error.value for error in page.error)
