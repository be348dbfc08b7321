"""`flopcast profile`: what the profile says reaches page, JSON and CSV; comparing, gating and saving."""

import csv
import io
import json
from dataclasses import asdict, replace
from functools import partial

import cli_calls
import hand_made
import pytest

from estimator.cli import main
from estimator.cli.profile_answers import read_limits
from profiles.comparison import compare, gate_report
from profiles.model_profile import ModelProfile
from profiles.trace_record import fold

LINEAR = """\
import torch


def make():
    return torch.nn.Linear(64, 32, bias=False)


def wide():
    return torch.nn.Linear(64, 48, bias=False)


def growing():
    return torch.nn.Sequential(*(torch.nn.Linear(8 * n, 8 * n + 8, bias=False) for n in (1, 2, 3)))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with a model, a saved profile and an empty cache."""
    (tmp_path / "train.py").write_text(LINEAR)
    hand_made.profile().save(tmp_path / "ten.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


run = partial(cli_calls.run, "profile")


def record(*arguments: str):
    (found,) = cli_calls.results("profile", *arguments)
    return found


def test_a_users_module_is_counted_to_the_last_flop():
    """y = x W^T with x 8 x 64, W 32 x 64: 2 x 8 x 64 x 32 forward; only W needs a gradient, so as much backward."""
    found = record("train.py:make", "--input", "8x64")
    product = 2 * 8 * 64 * 32
    assert found["parameters"] == found["trainable_parameters"] == 64 * 32
    assert found["matmul_flops"] == {"forward": product, "backward": product, "optimizer": 0, "total": 2 * product}
    assert found["flops"]["total"] == sum(found["flops"][phase] for phase in ("forward", "backward", "optimizer"))
    assert found["batch_size"] == 8
    assert found["rung"] == "meta"
    assert found["uncounted"] == []


def test_inference_has_no_backward_and_no_optimizer():
    found = record("train.py:make", "--input", "8x64", "--inference")
    assert found["mode"] == "forward"
    assert found["optimizer"] is None
    assert found["flops"]["backward"] == found["flops"]["optimizer"] == 0
    assert found["matmul_flops"]["total"] == 2 * 8 * 64 * 32


def test_json_has_the_names_of_the_api(folder):
    profile = ModelProfile.load(folder / "ten.json")
    document = json.loads(run("ten.json", "--json").stdout)
    (found,) = document["results"]
    for name in ("parameters", "trainable_parameters", "peak_memory_bytes", "rung", "precision", "batch_size"):
        assert found[name] == getattr(profile, name)
    for name in ("flops", "matmul_flops", "model_flops", "executed_flops", "bytes_moved"):
        totals = getattr(profile, name)
        assert found[name] == {**asdict(totals), "total": totals.total}
    assert found["memory"] == asdict(profile.memory)
    assert document["run"]["model"] == profile.model
    assert (document["schema"], document["command"]) == (1, "profile")


def test_other_sizes_of_a_saved_profile(folder):
    found = record("ten.json", "--batch-size", "7", "--sequence-length", "48")
    at = ModelProfile.load(folder / "ten.json").at(batch_size=7, sequence_length=48)
    assert found["flops"]["total"] == at.flops.total
    assert (found["batch_size"], found["sequence_length"]) == (7, 48)


@pytest.mark.parametrize("by", ["operator", "family", "phase", "precision", "source"])
def test_groups_sum_to_the_total(by):
    found = record("ten.json", "--by", by)
    assert sum(row["flops"]["total"] for row in found["breakdown"]) == found["flops"]["total"]
    assert by.upper() in run("ten.json", "--by", by).stdout


LIBRARY = "hf:gpt2,n_layer=2,n_embd=32,n_head=2,vocab_size=64,n_positions=32"


def test_lines_of_a_library_are_shown_and_sum_to_the_total(folder):
    """The head of 32 x 64 on 16 tokens: 2 x 16 x 32 x 64 forward, twice that backward, on one line of GPT-2's code."""
    options = (LIBRARY, "--sequence-length", "16")
    without, found = record(*options), record(*options, "--by", "source")
    assert found["flops"] == without["flops"]
    rows = {row["name"]: row["flops"] for row in found["breakdown"]}
    assert sum(each["total"] for each in rows.values()) == without["flops"]["total"]
    head = {"forward": 2 * 16 * 32 * 64, "backward": 2 * 2 * 16 * 32 * 64, "optimizer": 0, "total": 6 * 16 * 32 * 64}
    assert head in [each for name, each in rows.items() if name.startswith("transformers/models/gpt2/modeling_gpt2.py")]
    assert rows == {row["name"]: row["flops"] for row in record(*options, "--by", "source")["breakdown"]}
    assert run(*options, "--by", "source").stderr == ""


def test_lines_of_a_network_of_flopcast():
    names = [row["name"] for row in record("ncf", "--by", "source")["breakdown"]]
    assert any(name.startswith("profiles/models/networks/recommendation.py:") for name in names)


def test_a_saved_profile_without_lines_says_what_shows_them(folder):
    run("lenet5", "-o", "lenet.json")
    assert "flopcast profile MODEL --by source, with the model itself" in run("lenet.json", "--by", "source").stderr


def test_modules_are_a_tree():
    rows = record("ten.json")["breakdown"]
    assert rows[0]["level"] == 0
    assert rows[0]["flops"]["total"] == record("ten.json")["flops"]["total"]
    first = [row for row in record("ten.json", "--depth", "1")["breakdown"] if row["level"] == 1]
    assert sum(row["flops"]["total"] for row in first) == rows[0]["flops"]["total"]
    assert max(row["level"] for row in record("ten.json", "--depth", "1")["breakdown"]) == 1


def test_top_keeps_the_largest():
    everything = record("ten.json", "--by", "operator")["breakdown"]
    assert record("ten.json", "--by", "operator", "--top", "2")["breakdown"] == everything[:2]
    assert f"…{len(everything) - 2} more: --top 0" in run("ten.json", "--by", "operator", "--top", "2").stdout


def test_top_modules_are_the_costliest_parts_and_not_in_model_order():
    asked = ("train.py:growing", "--input", "4x8", "--inference")
    whole, parts = record(*asked), record(*asked, "--top", "1000")["breakdown"]
    assert [row["flops"]["total"] for row in parts] == [2 * 4 * 24 * 32, 2 * 4 * 16 * 24, 2 * 4 * 8 * 16]
    assert sum(row["flops"]["total"] for row in parts) == whole["flops"]["total"]
    assert record(*asked, "--top", "2")["breakdown"] == parts[:2]
    shown = run(*asked, "--top", "2").stdout
    assert parts[0]["name"] in shown and f"…{len(parts) - 2} more: --top 0" in shown


def test_csv_has_the_rows_of_the_table():
    rows = list(csv.DictReader(io.StringIO(run("ten.json", "--by", "family", "--csv").stdout)))
    assert [row["name"] for row in rows] == [row["name"] for row in record("ten.json", "--by", "family")["breakdown"]]


def test_page_says_the_convention_and_what_comes_next():
    text = run("ten.json").stdout
    assert "1 multiply-add = 2 FLOPs" in text
    for word in ("Step", "Memory", "Counted", "Next"):
        assert f"\n{word} " in text
    assert "flopcast estimate ten-layers --tokens 10B" in text


def test_output_saves_a_profile_that_is_a_model_itself(folder):
    result = run("train.py:make", "--input", "8x64", "-o", "linear.json")
    assert "MODULE" in result.stdout
    assert result.stderr.endswith("Saved linear.json\n")
    assert ModelProfile.load(folder / "linear.json").parameters == 64 * 32
    assert record("linear.json")["matmul_flops"] == record("train.py:make", "--input", "8x64")["matmul_flops"]


def test_a_quiet_save_prints_nothing(folder):
    result = run("train.py:make", "--input", "8x64", "-o", "linear.json", "-q")
    assert (result.stdout, result.stderr) == ("", "")
    assert ModelProfile.load(folder / "linear.json").parameters == 64 * 32


def test_output_of_json_is_the_document(folder):
    result = run("ten.json", "--json", "-o", "answer.json")
    assert result.stdout == ""
    assert json.loads((folder / "answer.json").read_text())["command"] == "profile"


def test_two_models_side_by_side(folder):
    run("train.py:wide", "--input", "8x64", "-o", "wide.json")
    given = run("train.py:make", "--input", "8x64", "--precision", "bf16", "--compare", "wide.json").stdout
    assert "train.py:make" in given and "train.py:wide" in given
    run("train.py:make", "--input", "8x64", "-o", "narrow.json")
    left, right = (ModelProfile.load(folder / name) for name in ("narrow.json", "wide.json"))
    assert run("narrow.json", "--compare", "wide.json").stdout == f"{compare(left, right)!r}\n"
    rows = json.loads(run("narrow.json", "--compare", "wide.json", "--json").stdout)["results"]
    flops = next(row for row in rows if row["quantity"] == "matmul_flops")
    assert flops["change"] == pytest.approx(0.5)


def test_a_model_within_its_limits_passes_the_gate(folder):
    profile = ModelProfile.load(folder / "ten.json")
    result = run("ten.json", "--baseline", "ten.json", "--fail-above", "flops=+0%,memory=5%")
    assert result.stdout == gate_report(profile, profile, {"flops": 0.0, "memory": 0.05}).rstrip("\n") + "\n"


def test_a_model_that_grew_fails_the_gate(folder):
    run("train.py:make", "--input", "8x64", "-o", "baseline.json")
    limits = ("--baseline", "baseline.json", "--fail-above", "matmul_flops=+49%,parameters=+60%")
    result = run("train.py:wide", "--input", "8x64", *limits, code=1)
    assert "**too much**" in result.stdout
    rows = json.loads(run("train.py:wide", "--input", "8x64", *limits, "--json", code=1).stdout)["results"]
    assert [(row["quantity"], row["exceeded"]) for row in rows] == [("matmul_flops", True), ("parameters", False)]
    assert rows[0]["change"] == pytest.approx(0.5)


def test_limits_are_percents():
    option = main.commands["profile"].params[0]
    assert read_limits(None, option, "flops=+2%, memory=-1.5%") == {"flops": 0.02, "memory": -0.015}
    assert read_limits(None, option, None) == {}


def test_an_operator_without_a_formula_is_a_warning(folder):
    raw = hand_made.raw_trace(4, 16)
    product, relu, *others = raw.operations
    unknown = replace(relu, operator="my::fused_norm", counted=False)
    trace = fold(replace(raw, operations=[product, unknown, *others]))
    profile = hand_made.profile(trace=trace)
    profile.save(folder / "unknown.json")
    result = run("unknown.json")
    assert "Warning: no formula for my::fused_norm (10 calls): their FLOPs are estimated" in result.stderr
    assert "my::fused_norm" in result.stdout
    (uncounted,) = record("unknown.json")["uncounted"]
    moved = 10 * unknown.bytes_moved / profile.bytes_moved.total
    assert uncounted == {"operator": "my::fused_norm", "calls": 10, "share": pytest.approx(moved)}


def test_second_opinion():
    text = run("train.py:make", "--input", "8x64", "--cross-check").stdout
    assert "FVCORE" in text and "FLOPCOUNTERMODE" in text
    rows = json.loads(run("train.py:make", "--input", "8x64", "--cross-check", "--json").stdout)["results"]
    product = next(row for row in rows if row["family"] == "matmul")
    assert product["flopcast"] == product["fvcore_x2"] == product["flop_counter_mode"] == 2 * 8 * 64 * 32


def test_second_opinion_needs_the_model_itself():
    assert "is a saved profile" in run("ten.json", "--cross-check", code=2).stderr


@pytest.mark.parametrize("width", ["60", "80", "120", "160"])
def test_no_line_of_the_table_is_wider_than_the_page(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    for arguments in ((), ("--by", "operator")):
        assert max(map(len, run("ten.json", *arguments).stdout.splitlines())) <= int(width)


@pytest.mark.parametrize(
    "options",
    [
        ("--compare", "ten.json", "--cross-check"),
        ("--baseline", "ten.json", "--compare", "ten.json"),
        ("--cross-check", "--baseline", "ten.json", "--fail-above", "flops=+1%"),
    ],
)
def test_two_questions_at_once_are_refused(options):
    assert "are different questions: ask one at a time" in run("ten.json", *options, code=2).stderr
