"""Logic of every page, run without a browser."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from dashboard import answers, counting, uploads
from dashboard.processes import Asked
from dashboard.run_state import Market, Question, RunChoice
from dashboard.sidebar import FIRST
from estimator import TrainingRun, estimate_all
from estimator.cli import main
from estimator.cli.estimate import command as estimate_command
from hardware_db.errors import FlopcastError
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
MNIST = ProfileRequest(precision="float32")
KEYS = {"TPU": "tpu", "memory bandwidth": "bandwidth", "bytes moved": "bytes", "model family": "family"}
"""What a page shows, and what it means."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Profiles kept by earlier questions on this machine answer none of these, and nothing is counted unasked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(counting, "possible", lambda: False)


def opened(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def compared(**query: str) -> AppTest:
    return opened(**query).switch_page("views/compare.py").run()


def table_of(page: AppTest):
    return page.dataframe[0].value


def chart_of(page: AppTest, index: int = 0) -> dict[str, object]:
    return json.loads(page.get("plotly_chart")[index].proto.spec)


def command_of(page: AppTest) -> list[str]:
    return shlex.split(next(block.value for block in page.code if block.value.startswith("flopcast ")))


def answered_by_command(words: list[str]) -> list[dict]:
    done = CliRunner().invoke(main, [*words[1:], "--json"])
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout)["results"]


def uploaded(model: str = "mnist-cnn", name: str = "prof.json") -> str:
    profile = known(model, MNIST)
    return uploads.accept(name, profile.to_json().encode()).label


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


# ---------------------------------------------------------------------------------------------------- command line


STATES = [
    {},
    {"pricing": "spot"},
    {"pricing": "reserved_1y"},
    {"model": "resnet50", "work": "samples", "amount": "1M", "image": "224"},
    {"model": "mnist-cnn", "work": "steps", "amount": "10k", "batch": "512", "micro": "8", "mfu": "0.4"},
    {"hardware": "a100-*", "count": "1,8", "all_offers": "true", "sequence": "512", "precision": "float32"},
    {"provider": "aws", "amount": "1 B", "precision": "amp_float16"},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_command_line_takes_every_copied_command(state):
    page = opened(**state)
    assert not page.exception and not page.error and not page.warning
    words = command_of(page)
    assert words[:2] == ["flopcast", "estimate"]
    assert estimate_command.make_context("estimate", words[2:]).params["model"] == state.get("model", "gpt2")


@pytest.mark.parametrize("state", [{"pricing": "spot", "count": "8", "batch": "512"}, STATES[3]], ids=str)
def test_the_copied_command_gives_the_pages_numbers(state):
    page = opened(**state)
    best = next(row for row in answered_by_command(command_of(page)) if row["cost_usd"])
    shown = table_of(page).iloc[0]
    assert shown["option"].startswith(f"{best['count']}× {best['device']}")
    assert shown["cost_usd"] == pytest.approx(best["cost_usd"], rel=5e-3)
    assert shown["run_time_h"] == pytest.approx(best["run_time_s"] / 3600, rel=5e-3)


def test_the_command_of_an_upload_names_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prof.json").write_text(known("mnist-cnn", MNIST).to_json())
    page = opened(model=uploaded(), amount="1M", work="samples")
    assert not page.exception and not page.error and not page.warning
    words = command_of(page)
    assert words[2] == "prof.json"
    best = answered_by_command(words)[0]
    assert table_of(page).iloc[0]["cost_usd"] == pytest.approx(best["cost_usd"], rel=5e-3)
    assert set(table_of(page)["precision"]) == {"float32"}


def test_a_command_is_quoted_for_the_shell():
    run = RunChoice("x@0", "tokens", "10 B", upload="-my file; rm.json")
    assert shlex.split(Question(run).command())[2:5] == ["./-my file; rm.json", "--tokens", "10 B"]


# --------------------------------------------------------------------------------------------------------- profiles


def test_the_zoo_is_offered_recorded_models_first():
    options = opened().selectbox(key="model").options
    recorded = answers.recorded_names()
    assert {"gpt2", "resnet50", "llama-3.1-8b", "bert-base"} <= recorded
    assert set(options[: len(recorded)]) == recorded
    assert "deepseek-v3" in options[len(recorded) :]


def test_without_torch_the_remedy_of_a_missing_profile_is_a_command_that_works():
    page = opened(model="gpt2", precision="bfloat16")
    assert not page.exception
    assert any("flopcast profile gpt2 --precision bfloat16 -o gpt2.json" in error.value for error in page.error)


def test_a_profile_that_is_missing_is_counted_and_then_answers(monkeypatch):
    monkeypatch.setattr(counting, "possible", lambda: True)
    running = Asked("Counting gpt2 in bfloat16")
    monkeypatch.setattr(counting, "count", lambda model, requests: running)
    page = opened(model="gpt2", precision="bfloat16")
    assert any("Counting gpt2 in bfloat16" in info.value for info in page.info)
    running.error = "no such thing"
    page.run()
    assert any("no such thing" in error.value for error in page.error)


@pytest.mark.slow
def test_counting_runs_in_a_process_of_its_own(monkeypatch):
    pytest.importorskip("torch")
    request = ProfileRequest(precision="bfloat16")
    found = counting.count("mnist-mlp", (request,))
    for _ in range(600):
        if found.done:
            break
        __import__("time").sleep(0.1)
    assert (found.done, found.error) == (True, None)
    assert known("mnist-mlp", request) is not None


@pytest.mark.parametrize("model", ["resnet50", "mnist-cnn"])
def test_a_model_without_tokens_switches_the_unit_and_says_so(model):
    page = opened(sequence="512")
    page.selectbox(key="model").set_value(model).run()
    assert not page.exception and not page.error
    assert page.selectbox(key="work").value == "samples"
    assert any("no tokens" in info.value for info in page.info)
    assert any("sequence length 512 is left out" in info.value for info in page.info)


def test_an_upload_is_chosen_at_once_and_linked():
    label = uploaded()
    page = opened(model=label, work="samples", amount="1M")
    assert page.selectbox(key="model").value == label
    assert not page.warning
    assert label.startswith("prof.json@")


def test_a_link_to_an_upload_that_is_gone_is_explained():
    page = opened(model="prof.json@0123456789abcdef")
    assert not page.exception
    assert any("prof.json@0123456789abcdef" in warning.value for warning in page.warning)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema": 1}',
        b'{"schema": 1, "model": NaN}',
        b"\x00\xff",
        b"\x1f\x8b\x08broken",
        b'{"schema":' + b"9" * 4000 + b"}",
        b"[" * 100_000,
    ],
)
def test_hostile_uploads_get_a_message(data):
    with pytest.raises(FlopcastError):
        uploads.accept("hostile.json", data)


def test_uploads_are_forgotten_oldest_first(monkeypatch):
    monkeypatch.setattr(uploads, "MOST_KEPT", 1)
    first, second = uploaded(), uploaded("mnist-cnn", "other.json")
    assert uploads.kept(first) is None
    assert uploads.kept(second) is not None


# ------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"amount": "ten parsecs"}, "ten parsecs"),
        ({"amount": "10"}, "Did you mean"),
        ({"count": "7"}, "remainder"),
    ],
)
def test_a_question_that_cannot_be_is_explained_not_raised(query, message):
    page = opened(**query)
    assert not page.exception
    assert any(message in error.value for error in page.error)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"model": "nonsense"}, "model 'nonsense'"),
        ({"model": "gpt-2"}, "known: gpt2"),
        ({"batch": "abc"}, "batch 'abc'"),
        ({"batch": "0"}, "batch '0'"),
        ({"batch": "1e400"}, "batch '1e400'"),
        ({"precision": "fp7"}, "precision 'fp7'"),
        ({"hardwre": "h100-sxm"}, "Did you mean hardware?"),
        ({"count": "x"}, "Devices 'x'"),
        ({"provider": "nobody"}, "provider 'nobody'"),
        ({"mfu": "45"}, "Did you mean 0.45?"),
    ],
)
def test_what_is_wrong_with_a_link_is_named(query, named):
    page = opened(**query)
    assert not page.exception and not page.error
    assert any(named in warning.value for warning in page.warning)
    assert len(table_of(page)) > 20, "the default is used"


@pytest.mark.parametrize(
    ("view", "query"),
    [
        ("compare", {"kinds": "TPU"}),
        ("hardware", {"device_kinds": "TPU", "against": "memory bandwidth"}),
        ("model", {"of": "bytes moved"}),
        ("accuracy", {"unseen": "model family"}),
    ],
)
def test_what_a_page_writes_into_its_link_is_understood(view, query):
    page = opened(**query).switch_page(f"views/{view}.py").run()
    assert not page.exception and not page.error and not page.warning
    for name, shown in query.items():
        assert page.session_state[name] in (KEYS[shown], [KEYS[shown]])


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


def test_cards_put_the_cheapest_and_the_fastest_side_by_side():
    page = compared(model="gpt2", amount="1B", precision="amp_bfloat16", hardware="t4,l4,h100-sxm")
    assert not page.exception
    cards = page.multiselect[-1]
    table = table_of(page)
    assert cards.value[0].startswith(table.iloc[0]["option"])
    assert any(name.startswith(table.sort_values("run_time_h").iloc[0]["option"]) for name in cards.value)
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
