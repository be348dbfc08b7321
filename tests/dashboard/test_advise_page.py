"""The Advise page: its advice is the estimator's, worked out by another process; run without a browser."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

import hardware_db
from dashboard.advice_charts import buy_or_rent_curve, tornado
from dashboard.advices import AdviceQuestion, frontier_table, hourly_costs
from dashboard.advising import answer
from dashboard.limits import Limits
from dashboard.run_state import Market, Question, RunChoice
from estimator.advice.buying import Purchase, buy_or_rent
from estimator.cli.advise import command as advise_command
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
RUN = RunChoice("mnist-cnn", "samples", "1M", batch_size=256, precision="float32")


@pytest.fixture(scope="module")
def advice() -> dict:
    profile = known("mnist-cnn", ProfileRequest(precision="float32")).to_json()
    wishes = {"budget_usd": 50.0, "devices": "t4,l4,a10", "counts": [1], "spot": False}
    return answer({"run": asdict(RUN), "profiles": [profile], "wishes": wishes})


def advise_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    page.run().switch_page("views/advise.py").run()
    for _ in range(300):
        if not any("Comparing" in info.value for info in page.info):
            return page
        time.sleep(0.2)
        page.run()
    raise TimeoutError("no advice within a minute")


def test_an_answer_is_json_and_keeps_the_limits(advice):
    assert json.loads(json.dumps(advice, allow_nan=False)) == advice
    assert advice["answered"] and advice["recommendation"]["cost_usd"] <= 50
    assert advice["recommendation"]["device"] in ("t4", "l4", "a10")
    assert all(each["told"] and each["but"] and 0 <= each["chance"] <= 1 for each in advice["beside"])
    table = frontier_table(advice["frontier"])
    assert table["run_time_h"].is_monotonic_increasing and len(table) == len(advice["frontier"])


def test_the_tornado_has_every_change_and_the_largest_on_top(advice):
    bar = tornado(advice["savings"]).data[0]
    assert sorted(bar.y) == sorted(each["change"] for each in advice["savings"])
    assert abs(bar.x[-1]) == max(abs(each["usd"]) for each in advice["savings"])


def test_buying_and_renting_meet_where_the_estimator_says():
    database = hardware_db.load()
    table, meet, source = hourly_costs("h100-sxm", database)
    found = buy_or_rent(database.device("h100-sxm"), database, Purchase(utilisation=0.5))
    half = table[table["utilisation"] == 0.5].iloc[0]
    assert half["own_usd_per_hour"] == found.own_usd_per_hour and half["rent_usd_per_hour"] == found.rent_usd_per_hour
    assert meet == found.break_even_utilisation and found.price_source in source
    cheaper = table["own_usd_per_hour"] < table["rent_usd_per_hour"]
    assert list(cheaper) == [at > meet for at in table["utilisation"]]
    assert any(trace.name == f"equal at {meet:.0%}" for trace in buy_or_rent_curve(table, meet).data)
    assert hourly_costs("tpu-v5e", database) is None, "nobody sells one"


def test_the_command_line_takes_the_copied_command():
    market = Market(hardware="l4,t4", counts=(1, 2), provider="gcp")
    question = AdviceQuestion(Question(RUN, market), Limits(50.0, 2 * 86400.0), "torch", spot=True)
    words = shlex.split(question.command())
    taken = advise_command.make_context("advise", words[2:]).params
    assert (taken["budget_usd"], taken["deadline_s"], taken["devices"]) == (50.0, 2 * 86400.0, "l4,t4")
    assert (taken["counts"], taken["provider"], taken["framework"], taken["spot"]) == ((1, 2), "gcp", "torch", True)


def test_the_page_says_what_to_rent_and_what_is_beside_it():
    page = advise_page(model="mnist-cnn", work="samples", amount="100M", precision="float32", hardware="t4,l4")
    assert not page.exception and not page.error and not page.warning
    assert page.success[0].value.startswith("Rent ")
    names = [json.loads(chart.proto.spec)["data"][0]["type"] for chart in page.get("plotly_chart")]
    assert names[0] == "bar"


def test_where_nothing_keeps_the_limits_the_page_says_what_comes_nearest():
    page = advise_page(
        model="mnist-cnn", work="samples", amount="1M", precision="float32", hardware="t4", budget="$0.00001"
    )
    assert not page.exception and not page.error
    assert any("Nothing" in warning.value for warning in page.warning)


def test_a_question_that_cannot_be_is_explained():
    page = advise_page(model="gpt2", amount="ten parsecs")
    assert not page.exception and any("ten parsecs" in error.value for error in page.error)
