"""`flopcast plan`: counts and batches as people write them, answers in three forms, exit codes."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from estimator.cli.app import main
from estimator.cli.plan import read_batch, read_counts
from hardware_db.errors import QuantityError
from profiles.library import Question, find

GPT2 = ("plan", "gpt2", "--hardware", "h100-sxm", "--global-batch-size", "64", "--sequence-length", "1024")


def ask(*words):
    return CliRunner().invoke(main, list(words), standalone_mode=False)


def test_counts_are_one_several_or_doublings_of_a_range():
    assert read_counts("512") == [512]
    assert read_counts("64, 8,64") == [8, 64]
    assert read_counts("8..100") == [8, 16, 32, 64]
    for wrong in ("", "0", "8..", "8..4", "eight", "-1"):
        with pytest.raises(QuantityError, match="--count"):
            read_counts(wrong)


def test_tokens_become_a_number_of_samples_that_divides():
    profile = find(Question("gpt2", "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024)
    assert read_batch("512", profile)[0] == 512
    batch, said = read_batch("4M-tokens", profile)
    assert batch == 4096 and "nearest to 4M-tokens" in said[0]
    assert read_batch("1100000-tokens", profile)[0] == 1024
    with pytest.raises(QuantityError, match="less than one sample"):
        read_batch("100-tokens", profile)


def test_tokens_of_a_model_without_a_sequence_are_refused():
    profile = find(Question("resnet50", "train", "amp_bfloat16", "adamw", "cuda"), 1, None)
    with pytest.raises(QuantityError, match="has no sequence"):
        read_batch("4M-tokens", profile)


def test_one_count_shows_the_best_plan_and_what_others_lose():
    answered = ask(*GPT2, "--count", "8")
    assert answered.return_value == 0
    lines = answered.output.splitlines()
    assert lines[0].startswith("SPLIT") and " best " in lines[2]
    losses = [float(word.strip("+")) for line in lines[3:8] for word in line.split() if word.startswith("+")]
    assert losses == sorted(losses) and losses
    assert "Searched" in answered.output and "Binds" in answered.output


def test_json_and_csv_hold_the_same_plans():
    document = json.loads(ask(*GPT2, "--count", "8", "--json").output)
    rows = list(csv.DictReader(io.StringIO(ask(*GPT2, "--count", "8", "--csv").output)))
    assert [row["step_time_s"] for row in document["results"]] == [float(row["step_time_s"]) for row in rows]
    best = document["results"][0]
    degrees = [best[f"{name}_parallel"] for name in ("data", "tensor", "pipeline", "context")]
    assert degrees[0] * degrees[1] * degrees[2] * degrees[3] == 8
    assert best["micro_batch_size"] * best["gradient_accumulation_steps"] * best["data_parallel"] == 64
    assert best["step_time_s_low"] < best["step_time_s"] < best["step_time_s_high"]
    assert 0 < best["mfu"] < 1 and best["slower"] == 0


def test_a_sweep_shows_each_count_and_the_knee():
    document = json.loads(ask(*GPT2, "--count", "8..32", "--json").output)
    assert [row["device_count"] for row in document["results"]] == [8, 16, 32]
    least, most = document["knee_hours"]
    assert 8 <= least <= most <= 32
    assert document["knee_dollars"]
    assert "Knee, hours" in ask(*GPT2, "--count", "8,16").output


def test_nothing_fits_is_an_answer_with_exit_code_1():
    words = ("plan", "llama-3.1-405b", "--hardware", "h100-sxm", "--count", "2", "--global-batch-size", "2")
    answered = ask(*words)
    assert answered.return_value == 1
    assert "the smallest of" in answered.output and "GiB a device" in answered.output


def test_a_plan_is_exported():
    answered = ask(*GPT2, "--count", "8", "--export", "torchrun")
    assert answered.output.splitlines()[1].startswith("torchrun --nnodes 1 --nproc-per-node 8 --standalone")


def test_a_plan_waits_for_its_data_and_says_so():
    """64 samples at 200 a second are 0.32 s, far more than the step on eight H100 takes."""
    answered = json.loads(ask(*GPT2, "--count", "8", "--data-rate", "200", "--json").output)
    for row in answered["results"]:
        assert row["step_time_s"] == pytest.approx(0.32) and row["bound"] == "data"
        assert row["parts_s"]["data"] == pytest.approx(
            0.32 - sum(seconds for name, seconds in row["parts_s"].items() if name != "data")
        )
    free = json.loads(ask(*GPT2, "--count", "8", "--data-rate", "1e9", "--json").output)
    assert "data" not in free["results"][0]["parts_s"]


def test_a_cluster_of_cpus_needs_memory_and_network():
    words = ("plan", "gpt2", "--hardware", "epyc-9654", "--count", "4", "--global-batch-size", "32")
    answered = ask(*words, "--memory", "384GB", "--network", "12.5GB")
    assert answered.return_value == 0 and "software as PyTorch runs it" in answered.output
    assert "no memory of epyc-9654 is known" in str(ask(*words).exception)
    assert "no network between machines" in str(ask(*words, "--memory", "384GB").exception)


def test_a_capacity_and_a_load_of_experts_contradict_each_other():
    refused = ask(*GPT2, "--count", "8", "--capacity-factor", "1.25", "--expert-load", "1.2")
    assert "leave out --expert-load" in str(refused.exception)
