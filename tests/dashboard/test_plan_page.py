"""The Plan page: its plans are those of the estimator, worked out by another process; run without a browser."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard import processes
from dashboard.plan_charts import scaling_curve
from dashboard.plans import PlanQuestion, scaling_table, strategy_table
from dashboard.run_state import RunChoice
from dashboard.search import answer
from estimator.cli.app import main
from estimator.cli.plan import command as plan_command
from estimator.plan.exports import FORMATS
from hardware_db.errors import FlopcastError, QuantityError
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


@pytest.fixture(scope="module")
def plans() -> dict:
    profile = known("mnist-cnn", ProfileRequest(precision="float32")).to_json()
    return answer({"profile": profile, "device": "h100-sxm", "counts": [1, 8], "batch": 64})


def plan_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run().switch_page("views/plan.py").run()


def planned(**query: str) -> AppTest:
    page = plan_page(**query)
    for _ in range(300):
        if not any("Planning" in info.value for info in page.info):
            return page
        time.sleep(0.2)
        page.run()
    raise TimeoutError("no plan within a minute")


def test_an_answer_is_json_and_its_tables_show_it(plans):
    assert json.loads(json.dumps(plans, allow_nan=False)) is not None
    table = scaling_table(plans["points"])
    assert list(table["devices"]) == [1, 8]
    for point, used in zip(plans["points"], table["device_time"], strict=True):
        best = min(each["plans"][0]["step_time_s"] * each["device_count"] for each in plans["points"])
        mine = point["plans"][0]["step_time_s"] * point["device_count"]
        assert used == pytest.approx(mine / best, rel=0.02)
    splits = strategy_table(plans["points"][1])
    assert splits["slower"].iloc[0] == 0
    assert splits["step_s"].min() == pytest.approx(splits["step_s"].iloc[0], rel=0.01)  # within 1 %: the simplest first
    assert plans["points"][0]["plans"][0]["split"] == "one device"


def test_plans_prices_and_knees_are_those_of_the_command(plans):
    words = ["plan", "mnist-cnn", "--hardware", "h100-sxm", "--count", "1,8", "--global-batch-size", "64"]
    answered = CliRunner().invoke(main, [*words, "--precision", "float32", "--json"], standalone_mode=False)
    told = json.loads(answered.output)
    best = [point["plans"][0] for point in plans["points"]]
    assert plans["priced"] and all(plan["usd_per_step"] > 0 for plan in best)
    for name in ("usd_per_step", "instance", "step_time_s", "micro_batch_size"):
        assert [plan[name] for plan in best] == [row[name] for row in told["results"]]
    assert [list(plans[name]) for name in ("knee_hours", "knee_dollars")] == [told["knee_hours"], told["knee_dollars"]]
    assert plans["assumptions"] == told["assumptions"]
    table = scaling_table(plans["points"])
    assert table["usd"].tolist() == pytest.approx([1000 * plan["usd_per_step"] for plan in best], rel=0.01)


def test_files_are_those_of_the_software_or_say_why_not(plans):
    files = plans["points"][1]["files"]
    assert set(files) == set(FORMATS)
    assert "torchrun" in files["torchrun"]["text"] and "--nproc-per-node 8" in files["torchrun"]["text"]
    assert all(set(each) in ({"text"}, {"why_not"}) for each in files.values())


def test_the_curve_has_every_count_the_ideal_line_and_the_knees(plans):
    figure = scaling_curve(plans)
    steps = next(trace for trace in figure.data if trace.name == "best plan, range")
    assert list(steps.x) == [1, 8]
    ideal = next(trace for trace in figure.data if trace.name == "as many times faster")
    assert ideal.y[1] == pytest.approx(steps.y[0] / 8)
    knees = [trace.name for trace in figure.data if "pays in" in trace.name]
    assert len(knees) == 2 and plans["knee_hours"][1] in (1, 8)


def test_a_page_waits_and_then_shows_plans_and_the_command():
    page = planned(model="mnist-cnn", work="samples", amount="1M", scale="1,8", precision="float32", batch="64")
    assert not page.exception and not page.error and not page.warning
    assert len(page.dataframe[0].value) == 2
    words = shlex.split(next(block.value for block in page.code if block.value.startswith("flopcast ")))
    assert words[:3] == ["flopcast", "plan", "mnist-cnn"]
    taken = plan_command.make_context("plan", words[2:]).params
    assert (taken["hardware"], taken["count"], taken["global_batch_size"]) == ("h100-sxm", "1,8", "64")
    assert any("torchrun --" in block.value for block in page.code)


@pytest.mark.parametrize("counts", ["x", "0", "8..4", "1..1000000", "1,2,3,4,5,6,7,8,9,10,11,12,13", "9" * 5000])
def test_numbers_of_devices_that_cannot_be_are_explained(counts):
    with pytest.raises(QuantityError):
        PlanQuestion(RunChoice("gpt2", "steps", "1"), "h100-sxm", counts).numbers()
    page = plan_page(model="mnist-cnn", work="samples", amount="1M", scale=counts)
    assert not page.exception and page.error


def test_a_process_that_fails_says_why():
    profile = known("mnist-cnn", ProfileRequest(precision="float32")).to_json()
    with pytest.raises(FlopcastError):
        answer({"profile": profile, "device": "nonesuch", "counts": [1], "batch": 64})
    asked = processes.ask("dashboard.search", json.dumps({"profile": "{}", "device": "h100-sxm"}), "Planning nothing")
    for _ in range(300):
        if asked.done:
            break
        time.sleep(0.2)
    assert asked.done and asked.error and not asked.answer


def test_a_process_that_takes_too_long_is_ended():
    begun = time.monotonic()
    printed, error = processes.run(["sleep", "60"], "", "Sleeping", patience_s=0.2)
    assert (printed, error) == ("", "Sleeping took more than 0 s and was ended")
    assert time.monotonic() - begun < 20
