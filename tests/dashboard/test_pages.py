"""Logic of every page, run without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard.answers import model_names, recorded
from dashboard.run_state import RunChoice, ignored_parameters
from estimator import TrainingRun, estimate_all
from hardware_db.errors import FlopcastError

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


def opened(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def table_of(page: AppTest):
    return page.dataframe[0].value


def chart_of(page: AppTest, index: int = 0) -> dict[str, object]:
    return json.loads(page.get("plotly_chart")[index].proto.spec)


def test_home_answers_without_a_click():
    page = opened()
    assert not page.exception
    assert [metric.label for metric in page.metric] == ["Cost", "Run time", "Memory per device", "MFU"]
    assert page.metric[0].value.startswith("$")
    assert len(table_of(page)) > 20


def test_numbers_are_those_of_the_library():
    page = opened(model="resnet50", work="samples", amount="1M", batch="256", precision="amp_bfloat16")
    run = TrainingRun(recorded("resnet50", "amp_bfloat16"), samples=1e6, global_batch_size=256)
    best = estimate_all(run).cheapest()
    shown = table_of(page).iloc[0]
    assert shown["option"] == f"{best.count}× {best.device.id}"
    assert shown["cost_usd"] == pytest.approx(best.cost_usd)
    assert shown["run_time_h"] == pytest.approx(best.run_time_s / 3600)


def test_sidebar_changes_the_answer():
    page = opened(model="gpt2", amount="1B")
    before = table_of(page)["cost_usd"].min()
    page.text_input(key="amount").set_value("2B").run()
    assert not page.exception
    assert table_of(page)["cost_usd"].min() == pytest.approx(2 * before, rel=0.01)


def test_compare_draws_every_answered_option_once_and_names_the_frontier():
    page = opened(model="gpt2", amount="1B")
    page.switch_page("views/compare.py").run()
    assert not page.exception
    table = table_of(page)
    chart = chart_of(page)
    points = [trace for trace in chart["data"] if trace.get("mode") == "markers"]
    assert {trace["name"] for trace in points} >= {"GPU", "TPU", "CPU"}
    assert sum(len(trace["customdata"]) for trace in points) == table["cost_usd"].notna().sum()
    labels = next(trace["text"] for trace in chart["data"] if trace.get("mode") == "text")
    count = int(page.main.subheader[0].value.split()[0])
    assert 2 <= len(labels) <= count
    assert table.iloc[0]["option"] in [label.strip() for label in labels], "the cheapest is named"


def test_kinds_filter_the_table():
    page = opened(model="gpt2", amount="1B")
    page.switch_page("views/compare.py").run()
    page.pills(key="kinds").set_value(["tpu"]).run()
    assert set(table_of(page)["option"].str.contains("tpu")) == {True}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"amount": "ten parsecs"}, "ten parsecs"),
        ({"amount": "10"}, "Did you mean"),
        ({"model": "resnet50"}, "no sequence"),
    ],
)
def test_a_question_that_cannot_be_is_explained_not_raised(query, message):
    page = opened(**query)
    assert not page.exception
    assert any(message in error.value for error in page.error)


def test_a_link_to_nowhere_is_explained():
    page = opened(model="nonsense")
    assert not page.exception
    assert any("nonsense" in warning.value for warning in page.warning)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "model": NaN}', "\x00\xff", '{"schema":' + "9" * 4000 + "}"]
)
def test_hostile_uploads_get_a_message(text):
    from profiles.model_profile import ModelProfile

    with pytest.raises(FlopcastError):
        ModelProfile.from_json(text)


def test_command_line_says_the_same_run():
    choice = RunChoice("gpt2", "tokens", "10B", 512, 1024, "amp_bfloat16")
    expected = "flopcast estimate gpt2 --tokens 10B --batch-size 512 --sequence-length 1024 --precision amp_bfloat16"
    assert choice.command() == expected


def test_only_unknown_values_are_named():
    assert ignored_parameters({"model": "gpt2", "free": "x"}, {"model": ["gpt2"]}) == []


def test_zoo_is_offered():
    assert {"gpt2", "resnet50", "llama-3.1-8b", "bert-base"} <= set(model_names())
