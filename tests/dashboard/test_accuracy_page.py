"""The Accuracy page: its errors are those of the tables that ship; run without a browser."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from dashboard.accuracies import cases_table, left_out, peers_table, strata_table
from dashboard.accuracy_charts import parity
from estimator.validation.published import published_cases

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


def accuracy_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run().switch_page("views/accuracy.py").run()


def errors_of(scheme: str, stratum: str) -> list[float]:
    with (files("estimator.calibration") / "left_out.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["left_out"], row["stratum"]) == (scheme, stratum)]
    return [float(row["predicted_s"]) / float(row["measured_s"]) - 1 for row in rows]


@pytest.mark.parametrize(("scheme", "stratum"), [("source", "pycls"), ("device", "torchtune")])
def test_errors_of_a_stratum_by_hand(scheme, stratum):
    errors = errors_of(scheme, stratum)
    row = strata_table(left_out(scheme)).set_index("stratum").loc[stratum]
    assert row["n"] == len(errors) > 5
    assert row["median_error"] == pytest.approx(median(map(abs, errors)))
    assert row["bias"] == pytest.approx(median(errors))
    assert row["within_20_percent"] == pytest.approx(sum(abs(error) <= 0.2 for error in errors) / len(errors))
    assert "@" in row["source"], "repository at its commit"


def test_peers_are_judged_on_the_cases_that_they_answer():
    table = peers_table().set_index("predictor")
    with (files("estimator.validation") / "peers.csv").open(encoding="utf-8") as file:
        said = {row["case_id"]: float(row["Habitat"]) for row in csv.DictReader(file) if row["Habitat"]}
    measured = {case.case_id: case.measured_step_time_s for case in published_cases()}
    errors = [abs(seconds / measured[name] - 1) for name, seconds in said.items()]
    assert table.loc["Habitat", "cases"] == len(errors)
    assert table.loc["Habitat", "mean_error"] == pytest.approx(sum(errors) / len(errors))
    assert list(table.index[:2]) == ["flopcast, source left out", "flopcast, device left out"]


def test_every_stratum_but_the_sum_says_where_it_is_from():
    table = strata_table(left_out("source"))
    assert list(table["source"] == "") == [False] * (len(table) - 1) + [True]


def test_every_shipped_case_has_a_source_and_an_error():
    table = cases_table()
    assert len(table) == len(published_cases())
    assert table["source"].str.len().min() > 10
    assert (table["predicted_s"] / table["measured_s"] - 1).to_numpy() == pytest.approx(table["error"].to_numpy())


def test_the_chart_draws_every_case_and_the_band():
    cases = left_out("source")[:200]
    figure = parity(cases)
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(sum(trace.customdata) for trace in marks) == 200
    assert all(len(trace.x) == len(trace.customdata) == len(trace.text) for trace in marks)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert sorted(round(trace.y[0] / trace.x[0], 6) for trace in lines) == [0.8, 1.0, 1.2]


def test_cases_that_lie_on_one_another_are_one_mark_as_dark_as_all_of_them():
    case = left_out("source")[0]
    near = replace(case, case_id="near", measured_s=case.measured_s * 1.0001, predicted_s=case.predicted_s)
    far = replace(case, case_id="far", measured_s=case.measured_s * 2)
    (marks,) = (trace for trace in parity([case, near, far]).data if trace.mode == "markers")
    assert sorted(marks.customdata) == [1, 2]
    assert sorted(marks.marker.opacity) == [0.55, 0.798]
    together = next(text for text, cases in zip(marks.text, marks.customdata, strict=True) if cases == 2)
    assert case.case_id in together and "near" in together and "far" not in together


def test_the_page_follows_scheme_and_strata():
    page = accuracy_page(unseen="device")
    assert not page.exception and not page.error and not page.warning
    everything = page.main.subheader[0].value
    page.multiselect(key="strata").set_value(["pycls", "torchtune"]).run()
    assert page.main.subheader[0].value != everything
    assert set(page.dataframe[0].value["stratum"]) == {"pycls", "torchtune", "all"}
    points = [t for t in json.loads(page.get("plotly_chart")[0].proto.spec)["data"] if t["mode"] == "markers"]
    assert sum(sum(trace["customdata"]) for trace in points) == page.dataframe[0].value["n"].iloc[-1]
