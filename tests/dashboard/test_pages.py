"""Logic of every page, run without a browser."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit")

from asked_pages import chart_of, command_of, compared, opened, table_of

from dashboard import answers
from dashboard.run_state import Market, Question, RunChoice
from dashboard.sidebar import FIRST
from estimator import TrainingRun, estimate_all
from profiles.recall import known
from profiles.request import ProfileRequest

pytestmark = pytest.mark.usefixtures("own_cache")


# ---------------------------------------------------------------------------------------------------------- answers


def test_home_answers_without_a_click():
    page = opened()
    assert not page.exception
    assert not page.warning
    assert [metric.label for metric in page.metric] == ["Cost", "Run time", "Memory per device", "MFU"]
    assert page.metric[0].value.startswith("\\$")
    assert len(table_of(page)) > 20


def test_the_server_prepares_the_question_that_comes_first():
    assert opened().session_state["question"] == FIRST


def test_numbers_are_those_of_the_library():
    page = opened(model="resnet50", work="samples", amount="1M", batch="256", precision="amp_bfloat16")
    profile = known("resnet50", ProfileRequest(precision="amp_bfloat16"))
    best = estimate_all(TrainingRun(profile, samples=1e6, global_batch_size=256)).cheapest()
    shown = table_of(page).iloc[0]
    assert shown["option"].startswith(f"{best.count}× {best.device.id}")
    assert shown["cost_usd"] == pytest.approx(best.cost_usd, rel=5e-3)
    assert shown["run_time_h"] == pytest.approx(best.run_time_s / 3600, rel=5e-3)


def test_metrics_show_ranges_and_the_memory_there_is():
    page = opened(model="gpt2", amount="1B")
    cost, time, memory, mfu = page.metric
    assert cost.delta.startswith("range") and time.delta.startswith("range")
    assert memory.value.endswith("GiB") and memory.delta.startswith("of ") and memory.delta.endswith("GiB")
    assert mfu.value.endswith(" %") and "." not in mfu.value


def test_a_longer_run_is_what_the_library_says_of_it():
    choice = RunChoice("gpt2", "tokens", "3B", 512, precision="amp_bfloat16")
    answers.estimates(Question(RunChoice("gpt2", "tokens", "1B", 512, precision="amp_bfloat16")))
    found = answers.estimates(Question(choice, Market(hardware="h100-sxm,tpu-v5e", counts=(8,))))
    run = TrainingRun(known("gpt2", ProfileRequest(precision="amp_bfloat16")), tokens=3e9, global_batch_size=512)
    truth = estimate_all(run, devices="h100-sxm,tpu-v5e", counts=[8]).sort("cost")
    assert [row.to_dict() for row in found] == [row.to_dict() for row in truth]


def test_sidebar_changes_the_answer():
    page = opened(model="gpt2", amount="1B")
    before = table_of(page)["cost_usd"].min()
    page.text_input(key="amount").set_value("2B").run()
    assert not page.exception
    assert table_of(page)["cost_usd"].min() == pytest.approx(2 * before, rel=0.02)


def test_where_it_runs_is_part_of_the_link():
    page = opened(model="gpt2", hardware="h100-*", count="8,16", provider="lambda", precision="amp_bfloat16")
    assert not page.exception and not page.error and not page.warning
    shown = table_of(page)
    assert set(shown["option"].str.match(r"(8|16)× h100-")) == {True}
    assert set(shown["provider"]) == {"lambda", "-"}, "what nobody rents out has a row without a price"


def test_links_from_before_pricing_was_spelt_as_on_the_command_line_still_hold():
    page = opened(model="gpt2", amount="1B", pricing="reserved_1y")
    assert not page.exception and not page.warning
    assert page.selectbox(key="pricing").value == "reserved-1y"
    assert command_of(page)[-2:] == ["--pricing", "reserved-1y"]


def test_unknown_hardware_is_explained():
    page = opened(hardware="h1000")
    assert not page.exception
    assert any("h1000" in error.value and "Did you mean" in error.value for error in page.error)


def test_devices_that_nobody_rents_out_have_a_time_and_no_cost():
    name = "h100-sxm-96gb"
    assert not answers.hardware().database.offers(device=name)
    page = opened(model="gpt2", hardware=name)
    assert not page.exception and not page.error
    assert page.metric[0].value == "unknown"
    assert page.metric[1].value != "unknown"


# ----------------------------------------------------------------------------------------------------------- Compare


def test_compare_draws_every_answered_option_once_and_names_the_ends_of_the_frontier():
    page = compared(model="gpt2", amount="1B")
    assert not page.exception
    table = table_of(page)
    chart = chart_of(page)
    points = [trace for trace in chart["data"] if trace.get("mode") == "markers" and "customdata" in trace]
    assert {trace["name"] for trace in points} >= {"GPU", "TPU", "CPU"}
    assert sum(len(trace["customdata"]) for trace in points) == table["cost_usd"].notna().sum()
    names = [trace["name"] for trace in chart["data"]]
    assert f"Cheapest: {table.iloc[0]['option']}" in names
    fastest = table.sort_values("run_time_h").iloc[0]["run_time_h"]
    assert any(n.startswith("Fastest: ") for n in names) and fastest > 0


def test_the_best_of_each_kind_answers_the_question_of_the_page():
    page = compared(model="gpt2", amount="1B", precision="amp_bfloat16", hardware="t4,l4,tpu-v5e,tpu-v6e,epyc-9654")
    assert not page.exception
    said = next(text.value for text in page.main.markdown if text.value.startswith("Cheapest by kind: "))
    table = table_of(page)
    best = table.loc[table["cost_usd"].idxmin(), "option"]
    kinds = [part.split(" ")[0] for part in said.removeprefix("Cheapest by kind: ").split("), ")]
    assert sorted(kinds) == ["CPU", "GPU", "TPU"]
    assert best in said.split("), ")[0], "the cheapest kind is named first"


def test_cards_put_the_cheapest_and_the_fastest_side_by_side():
    page = compared(model="gpt2", amount="1B", precision="amp_bfloat16", hardware="t4,l4,h100-sxm")
    assert not page.exception
    cards = page.multiselect[-1]
    table = table_of(page)
    assert cards.value == []
    for best in (table.iloc[0], table.sort_values("run_time_h").iloc[0]):
        assert any(text.value.startswith(f"**{best['option']}, ") for text in page.main.markdown)
    cards.set_value(cards.options[:3]).run()
    assert not page.exception
    shown = [text.value for text in page.main.markdown]
    assert all(f"**{name}**" in shown for name in cards.options[:3])


def test_kinds_filter_the_table():
    page = compared(model="gpt2", amount="1B")
    page.pills(key="kinds").set_value(["tpu"]).run()
    assert set(table_of(page)["option"].str.contains("tpu")) == {True}


def test_budget_and_deadline_rule_heading_and_table():
    free = table_of(compared(model="gpt2", amount="1B"))
    budget = float(free["cost_usd"].median())
    page = compared(model="gpt2", amount="1B", budget=f"{budget:.4f}")
    kept = table_of(page)
    assert 0 < len(kept) < len(free)
    assert kept["cost_usd"].max() <= budget * 1.01
    assert page.main.subheader[0].value.startswith(f"{len(kept)} of {len(free)} options keep to")


def test_where_nothing_keeps_to_the_limits_the_nearest_is_offered():
    page = compared(model="gpt2", amount="1B", budget="$0.0001")
    assert not page.exception
    assert page.main.subheader[0].value.startswith("Nothing keeps to")
    assert any("Nearest:" in warning.value and "× the budget" in warning.value for warning in page.warning)


def test_where_nothing_fits_each_option_says_why():
    page = opened(model="llama-3.1-405b", amount="1B", precision="float32")
    assert not page.exception
    assert any("Nothing that was asked for can run this" in warning.value for warning in page.warning)
    shown = table_of(page)
    assert shown["reason"].str.len().min() > 10
    assert shown["remedy"].str.contains("Would fit|shard").any()
