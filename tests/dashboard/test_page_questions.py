"""What a page is asked: the command of the same question, models and uploads, links."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

pytest.importorskip("streamlit")

from asked_pages import KEYS, MNIST, answered_by_command, command_of, opened, table_of, uploaded

from dashboard import answers, counting, uploads
from dashboard.processes import Asked
from dashboard.run_state import Question, RunChoice
from estimator.cli.estimate import command as estimate_command
from hardware_db.errors import FlopcastError
from profiles.recall import known
from profiles.request import ProfileRequest

pytestmark = pytest.mark.usefixtures("own_cache")


# ---------------------------------------------------------------------------------------------------- command line


STATES = [
    {},
    {"pricing": "spot"},
    {"pricing": "reserved-1y"},
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
