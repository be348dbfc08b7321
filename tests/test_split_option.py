"""A split as people write it, in `flopcast estimate` and `flopcast plan`."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from estimator.cli.app import main
from estimator.parallel.asked import AskedSplit, read_split
from estimator.parallel.parallelism import Parallelism
from hardware_db.errors import UsageError

MODEL = ("gpt2", "--sequence-length", "1024")
RUN = ("--steps", "10", "--batch-size", "64", "--price", "h100-sxm=2", "--steps-only")


def ask(*words):
    return CliRunner().invoke(main, list(words), standalone_mode=False)


def estimated(split, count="16", *words):
    asked = ask(
        "estimate", *MODEL, *RUN, "--hardware", "h100-sxm", "--count", count, "--split", split, "--json", *words
    )
    return json.loads(asked.output)["results"][0]


def test_what_is_not_said_is_one_or_usual():
    found = read_split("tp=8, pp=4, zero=1").on(64)
    assert found == Parallelism(
        data_parallel=2, tensor_parallel=8, pipeline_parallel=4, zero_stage=1, sequence_parallel=True
    )
    assert read_split("pp=4,vp=2").on(8).schedule == "interleaved"
    assert read_split("recompute=full,stages=uneven,pp=2").on(2).activation_checkpointing == "full"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xp=2", "give dp, tp, pp, vp, cp, ep, zero, shard, micro, schedule, recompute, stages with values"),
        ("tp", "for example tp=8,pp=4,zero=1"),
        ("tp=two", "tp is a whole number"),
        ("tp=2,tp=4", "each word once"),
        ("schedule=fast", "schedule is one of gpipe, 1f1b, interleaved, zero-bubble"),
        ("", "give dp"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(text, message):
    with pytest.raises(UsageError, match=message):
        read_split(text)


@pytest.mark.parametrize(
    ("text", "devices", "message"),
    [
        ("tp=8,pp=4", 48, "tp=8,pp=4 does not divide 48 devices: they must be multiples of 32"),
        ("tp=2,dp=2", 8, "does not divide 8 devices"),
        ("zero=7", 8, "zero_stage 7 is unknown"),
        ("vp=2", 8, "virtual_pipeline 2 needs pipeline_parallel above 1"),
        ("tp=0", 8, "tensor_parallel must be a positive whole number"),
    ],
)
def test_splits_that_contradict_are_refused_by_name(text, devices, message):
    with pytest.raises(UsageError, match=message):
        read_split(text).on(devices)


@given(st.dictionaries(st.sampled_from(["tp", "pp", "cp", "zero", "micro"]), st.integers(1, 3), min_size=1))
def test_a_split_is_said_as_it_is_read(parts):
    text = ",".join(f"{word}={value}" for word, value in parts.items())
    assert str(read_split(text)) == text
    assert read_split(str(read_split(text))) == read_split(text)


def test_a_split_allows_what_was_asked_for_and_everything_else():
    asked = AskedSplit((("tensor_parallel", 8),))
    assert asked.allows("tensor_parallel", 8) and not asked.allows("tensor_parallel", 4)
    assert asked.allows("pipeline_parallel", 4)


def test_estimate_runs_the_split_that_is_asked_for():
    whole, split = estimated("zero=1"), estimated("tp=2,pp=2,zero=1")
    asked = {"data_parallel": 4, "tensor_parallel": 2, "pipeline_parallel": 2, "zero_stage": 1}
    assert split["split"].items() >= asked.items()
    assert split["micro_batch_size"] * split["gradient_accumulation_steps"] * 4 == 64
    assert split["step_time_s"] != whole["step_time_s"]
    assert split["peak_memory_bytes"] < whole["peak_memory_bytes"] or split["micro_batch_size"] != 1


@pytest.mark.parametrize(
    ("split", "count", "why"),
    [
        ("tp=8", "4", "must be multiples of 8"),
        ("tp=5", "10", "tensor_parallel 5 must divide"),
        ("tp=8", "8", "tensor_parallel 8 must divide the 12 attention heads of gpt2"),
        ("ep=2", "16", "gpt2 has no experts"),
        ("pp=16", "16", "16 pipeline chunks need more"),
    ],
)
def test_impossible_splits_say_what_does_not_divide(split, count, why):
    words = ("estimate", *MODEL, *RUN, "--hardware", "h100-sxm", "--count", count, "--split", split)
    result = ask(*words)
    said = f"{result.output} {result.exception or ''}"
    assert why in " ".join(said.split()), said


def test_plan_searches_only_what_is_asked_for():
    words = ("plan", *MODEL, "--hardware", "h100-sxm", "--count", "16", "--global-batch-size", "64", "--json")
    free, asked = (json.loads(ask(*words, *more).output)["results"] for more in ((), ("--split", "tp=2,pp=2,zero=1")))
    assert {(row["tensor_parallel"], row["pipeline_parallel"], row["zero_stage"]) for row in asked} == {(2, 2, 1)}
    assert asked[0]["step_time_s"] >= free[0]["step_time_s"]


def test_an_odd_number_of_devices_names_the_nearest_batches():
    words = ("plan", *MODEL, "--hardware", "h100-sxm", "--count", "7", "--global-batch-size", "64")
    assert "63 or 70 do" in " ".join(ask(*words).output.split())
    asked = ask(*words, "--split", "pp=1")
    assert asked.return_value == 1 and "63 or 70" in " ".join(asked.output.split())
