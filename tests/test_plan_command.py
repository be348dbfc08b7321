"""`flopcast plan`: counts and batches as people write them, answers in three forms, exit codes."""

import csv
import io
import json
import math

import pytest
from click.testing import CliRunner

import hardware_db
from estimator.cli.app import main
from estimator.cli.plan import read_batch, read_counts
from hardware_db.errors import QuantityError, UsageError
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
    assert batch == 4096 and said == ["4M-tokens: 4,096 sequences of 1,024 tokens, the nearest multiple of 4,096"]
    assert read_batch("1100000-tokens", profile)[0] == 1024
    assert read_batch("0.5M-tokens", profile, [96])[0] == 480
    assert read_batch("0.5M-tokens", profile, [96, 192])[0] == 480
    assert read_batch("0.5M-tokens", profile, [8, 1024])[0] == 512
    with pytest.raises(QuantityError, match="less than one sample"):
        read_batch("100-tokens", profile)


def test_tokens_of_a_model_without_a_sequence_are_refused():
    profile = find(Question("resnet50", "train", "amp_bfloat16", "adamw", "cuda"), 1, None)
    with pytest.raises(QuantityError, match="has no sequence"):
        read_batch("4M-tokens", profile)


def test_one_count_shows_the_best_plan_and_what_others_lose():
    answered = ask(*GPT2, "--count", "8")
    assert answered.return_value == 0
    found, _, table = answered.output.partition("\n\n")
    lines = table.splitlines()
    assert lines[0].startswith("SPLIT") and " best " in lines[2]
    assert found.startswith("DP 8") and " s a step (" in found and found.endswith("binds.")
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
    said = ask(*GPT2, "--count", "8,16").output
    assert "Knee, hours" in said
    assert said.startswith("More h100-sxm pay up to 8, in hours and in dollars. DP 8")


def test_nothing_fits_is_an_answer_with_exit_code_1():
    words = ("plan", "llama-3.1-405b", "--hardware", "h100-sxm", "--count", "2", "--global-batch-size", "2")
    answered = ask(*words)
    assert answered.return_value == 1
    assert "the smallest of" in answered.output and "GiB a device" in answered.output


def test_a_plan_is_exported():
    answered = ask(*GPT2, "--count", "8", "--export", "torchrun")
    assert answered.output.splitlines()[1].startswith("torchrun --nnodes 1 --nproc-per-node 8 --standalone")


def test_a_file_is_planned_within_what_its_software_runs():
    """DeepSpeed divides no tensors: the plan of its file does not either, though that would be the fastest."""
    words = ("plan", "llama-3.1-8b", "--hardware", "h100-sxm", "--count", "64", "--global-batch-size", "64")
    lines = ask(*words, "--export", "accelerate-deepspeed").output.splitlines()
    assert lines[0].startswith("# DP 64 · ZeRO 3") and lines[0].endswith("the fastest that accelerate-deepspeed runs")


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ("tp=8", "tensor_parallel 8 must divide the 12 attention heads"),
        ("tp=16", "does not divide 8 devices"),
        ("pp=2,zero=3", "ZeRO 3 is not searched with a pipeline"),
        ("dp=8,micro=16", "leaves a remainder"),
        ("ep=2", "has no experts"),
    ],
)
def test_a_split_that_cannot_be_says_why(split, reason):
    answered = ask(*GPT2, "--count", "8", "--split", split)
    assert answered.return_value == 1 and reason in " ".join(answered.output.split())


def test_schedules_are_those_of_the_software_unless_one_is_asked_for():
    def schedules(*words):
        rows = json.loads(ask(*GPT2, "--count", "8", *words, "--json").output)["results"]
        return {row["schedule"] for row in rows}

    assert schedules("--split", "pp=4") <= {"1f1b", "interleaved"}
    assert schedules("--split", "pp=4", "--software", "xla") == {"gpipe"}
    assert schedules("--split", "pp=4,schedule=zero-bubble") == {"zero_bubble"}


def test_devices_are_whole_chips_and_priced_as_such():
    """A TPU v3 has two cores, each a device of its own to the framework."""
    words = ("plan", "gpt2", "--hardware", "tpu-v3", "--count", "4", "--global-batch-size", "64")
    document = json.loads(ask(*words, "--json").output)
    best = document["results"][0]
    degrees = [best[f"{name}_parallel"] for name in ("data", "tensor", "pipeline", "context")]
    assert best["device_count"] == 4 and math.prod(degrees) == 8
    assert "a tpu-v3 is 2 devices of a split" in document["assumptions"]
    offers = [each for each in hardware_db.load().offers("tpu-v3", pricing="on_demand") if each.device_count >= 4]
    cheapest = min(each.usd_per_hour * -(-4 // each.device_count) for each in offers)
    assert best["usd_per_hour"] == pytest.approx(cheapest)
    assert best["usd_per_step"] == pytest.approx(cheapest * best["step_time_s"] / 3600)


def test_a_machine_by_name_brings_its_links_and_its_prices():
    words = ("plan", "gpt2-xl", "--hardware", "a100-sxm-40gb", "--count", "16", "--global-batch-size", "64")
    usual, slow = (
        json.loads(ask(*words, *more, "--json").output) for more in ((), ("--machine", "gcp-a2-megagpu-16g"))
    )
    assert "links of Google Cloud a2-megagpu-16g" in slow["assumptions"]
    assert slow["results"][0]["instance"] == "a2-megagpu-16g"
    assert usual["results"][0]["instance"] != "a2-megagpu-16g"
    refused = ask(*words, "--machine", "dgx-h100")
    assert "no machine with a100-sxm-40gb is called dgx-h100; known: " in str(refused.exception)


def test_a_slower_network_is_taken_where_it_is_given():
    words = (*GPT2, "--count", "16", "--split", "dp=16")
    fast, slow = (json.loads(ask(*words, "--network", each, "--json").output) for each in ("50GB", "1GB"))
    assert slow["results"][0]["step_time_s"] > 1.5 * fast["results"][0]["step_time_s"]


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


def test_what_is_said_of_experts_needs_some():
    refused = ask(*GPT2, "--count", "8", "--expert-load", "2")
    assert isinstance(refused.exception, UsageError)
    assert str(refused.exception) == "gpt2 has no experts; leave out --expert-load"


@pytest.mark.parametrize("option", ["--memory", "--network"])
def test_nothing_is_no_memory_and_no_network(option):
    refused = ask(*GPT2, "--count", "8", option, "0GB")
    assert isinstance(refused.exception, QuantityError) and f"{option}: 0 is none" in str(refused.exception)


def test_micro_batches_divide_a_batch_that_is_no_power_of_two():
    """1,000 samples over 8 devices are 125 each: one micro-batch, not 125 of one sample."""
    words = ("plan", "resnet50", "--hardware", "h100-sxm", "--count", "8", "--global-batch-size", "1000", "--json")
    document = json.loads(ask(*words).output)
    best = document["results"][0]
    assert (best["data_parallel"], best["micro_batch_size"], best["gradient_accumulation_steps"]) == (8, 125, 1)
    assert document["run"]["model"] == "resnet50" and document["run"]["global_batch_size"] == 1000


def test_a_micro_batch_that_is_asked_for_is_taken():
    rows = json.loads(ask(*GPT2, "--count", "2", "--split", "micro=32", "--json").output)["results"]
    assert {row["micro_batch_size"] for row in rows} == {32}


def test_an_estimate_of_divided_states_names_the_faster_split_that_plan_finds():
    job = ("llama-3.1-8b", "--hardware", "h100-sxm", "--count", "64")
    said = ask("estimate", *job, "--batch-size", "512", "--tokens", "1B", "--sequence-length", "4096").output
    line = " ".join(said[said.index("\nFaster") :].split("\nRun time")[0].split())
    command = line[line.index("(flopcast ") :].strip("()").split()
    assert command[1:7] == ["plan", *job]
    best = json.loads(ask(*command[1:], "--json").output)["results"][0]
    said_s = float(line.partition("runs it: ")[2].partition(" s a step instead of")[0])
    assert said_s == pytest.approx(best["step_time_s"], rel=0.005) and f"ZeRO {best['zero_stage']}" in line


def test_an_estimate_of_copies_names_no_other_split():
    said = ask("estimate", "gpt2", "--hardware", "h100-sxm", "--count", "8", "--tokens", "1B").output
    assert "\nCheapest" in said and "\nFaster" not in said
