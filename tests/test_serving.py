"""Serving: rows by hand, what cannot be, and the price of a life."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

import hardware_db
from estimator.cli import main
from estimator.memory.generation import Generation, generation_of
from estimator.serving import Dialogue, lifetime_of, predictions_on, writing_on
from estimator.serving.few_bits import with_weight_bits
from estimator.serving.passes import Way
from hardware_db.errors import UsageError
from profiles.library import Question, find

DB = hardware_db.load()
GPT2 = find(Question("gpt2", "forward", "bfloat16", None, "cuda"))
H100 = DB.device("h100-sxm")
OFFER = DB.offers(device="h100-sxm", pricing="on_demand")[0]


def test_an_answer_is_its_prompt_and_its_tokens():
    row = writing_on(GPT2, H100, Dialogue(8, 512, 128), OFFER)
    assert row.latency.mid == pytest.approx(row.prefill.mid + 127 * row.token.mid)
    assert row.tokens_per_s == pytest.approx(8 * 128 / row.latency.mid)
    hours = row.latency.mid / 3600
    assert row.usd_per_million.mid == pytest.approx(hours * OFFER.usd_per_device_hour / (8 * 128) * 1e6)
    assert row.need.peak == generation_of(GPT2, Generation(640, 8, prompt_length=512), H100).peak


def test_a_token_takes_no_less_than_reading_all_weights_and_the_cache():
    row = writing_on(GPT2, H100, Dialogue(64, 900, 100), OFFER)
    assert row.token.low > (row.need.weight_bytes) / H100.memory_bandwidth_bytes_per_s


@pytest.mark.parametrize(("batch_size", "measured_s"), [(1, 0.0244), (8, 0.0255), (32, 0.0261)])
def test_tokens_written_eagerly_take_what_was_published(batch_size, measured_s):
    # bitsandbytes, benchmarking/README.md@1b7b9bb: Llama 3.1 8B in bfloat16 by transformers on an H100.
    profile = find(Question("llama-3.1-8b", "forward", "bfloat16", None, "cuda"))
    token = writing_on(profile, H100, Dialogue(batch_size, 64, 64)).token
    assert token.low < measured_s < token.high


def test_a_compiled_model_needs_little_of_the_host():
    eager, compiled = (writing_on(GPT2, H100, Dialogue(1, 64, 64), compiled=each).token.mid for each in (False, True))
    assert compiled < 0.5 * eager


@pytest.mark.parametrize(
    ("name", "bits", "tokens_per_s"),
    [("a100-sxm-80gb", None, 104.9), ("a100-sxm-80gb", 8, 155.58), ("mi250x", None, 76.33), ("mi250x", 8, 101.86)],
)
def test_tokens_of_a_compiled_model_take_what_was_published(name, bits, tokens_per_s):
    # pytorch-labs/gpt-fast, README.md@0f925b5: Llama 2 7B.
    profile = find(Question("llama-2-7b", "forward", "bfloat16", None, "cuda"))
    token = writing_on(profile, DB.device(name), Dialogue(1, 5, 200, bits), compiled=True).token
    assert token.low < 1 / tokens_per_s < token.high


def test_weights_of_few_bits_are_read_faster_by_what_they_lack():
    """GPT-2's layers hold 12 x 12 x 768^2 weights; of 4 bits instead of 16 they are 1.5 bytes shorter each."""
    weights = 12 * 12 * 768**2
    plain = GPT2.table(1, 1)
    short = with_weight_bits(GPT2, plain, 4)
    read = [int((table.bytes_read * table.count).sum()) for table in (plain, short)]
    assert read[0] - read[1] == pytest.approx(1.5 * weights, rel=1e-6)
    rows = [writing_on(GPT2, H100, Dialogue(1, 64, 64, bits), compiled=True) for bits in (None, 4)]
    # Biases and norms of the layers are parameters too: a hundredth.
    assert rows[0].need.weight_bytes - rows[1].need.weight_bytes == pytest.approx(1.5 * weights, rel=0.01)
    assert rows[1].token.mid < rows[0].token.mid
    with pytest.raises(UsageError, match="between 1 and 16"):
        Dialogue(1, 8, 8, 32)


def test_a_token_is_never_written_faster_than_what_it_reads():
    row = writing_on(GPT2, H100, Dialogue(512, 900, 100), OFFER, compiled=True)
    cache = row.need.cache_bytes * 950 / 1000
    assert row.token.low >= (row.need.weight_bytes + cache) / H100.memory_bandwidth_bytes_per_s * 0.999


def test_eight_bits_are_half_the_bytes_and_products_of_their_own_peak():
    fpga = DB.device("alveo-u280")
    compiled, narrow = (predictions_on(GPT2, H100, 64, way=Way(compiled=True, int8=each)) for each in (False, True))
    assert narrow.latency.mid < compiled.latency.mid and narrow.precision == "int8"
    assert narrow.need.parameter_bytes == compiled.need.parameter_bytes // 2
    only = predictions_on(GPT2, fpga, 8, way=Way(compiled=True, int8=True))
    assert only.latency.low >= GPT2.at(batch_size=8).matmul_flops.forward / fpga.matrix_peaks["int8"]
    with pytest.raises(UsageError, match="16 bits"):
        predictions_on(replace(GPT2, precision="float32"), H100, 1, way=Way(int8=True))


def test_devices_that_have_8_bits_alone_are_served_in_them():
    document = json.loads(served("gpt2", "--batch-size", "8", "--hardware", "alveo-u280,t4").stdout)
    assert {row["device"]: row["precision"] for row in document["results"]} == {"alveo-u280": "int8", "t4": "float16"}
    narrow = json.loads(served("gpt2", "--precision", "int8", "--hardware", "t4").stdout)["results"][0]
    assert narrow["precision"] == "int8"
    refused = CliRunner().invoke(main, ["serve", "gpt2", "--weight-bits", "4"])
    assert refused.exit_code == 2 and "--prompt" in refused.stderr


def test_why_a_device_has_no_row_is_told():
    shown = CliRunner().invoke(main, ["serve", "gpt2", "--hardware", "coral-edge-tpu"])
    assert shown.exit_code == 1 and "no memory bandwidth of coral-edge-tpu is known" in " ".join(shown.stdout.split())


def served(*words):
    return CliRunner().invoke(main, ["serve", *words, "--json"])


def test_larger_batches_are_cheaper_and_slower():
    small, large = (writing_on(GPT2, H100, Dialogue(size, 512, 64), OFFER) for size in (1, 64))
    assert large.usd_per_million.mid < small.usd_per_million.mid and large.prefill.mid > small.prefill.mid


def test_a_training_profile_is_refused():
    train = find(Question("gpt2", "train", "float32", "adamw", "cuda"))
    with pytest.raises(UsageError, match="training step"):
        predictions_on(train, H100, 1)
    with pytest.raises(UsageError, match="training step"):
        writing_on(train, H100, Dialogue(1, 8, 8))


def test_predictions_by_hand():
    row = predictions_on(GPT2, H100, 4, OFFER)
    assert row.per_s == pytest.approx(4 / row.latency.mid)
    assert row.usd_per_thousand.mid == pytest.approx(row.latency.mid / 3600 * OFFER.usd_per_device_hour * 1000 / 4)
    assert row.fits


def test_a_life():
    found = lifetime_of(7304.0, 10.0, 100.0, 100 * 86400 * 1.5, 12)
    # 150 a second need two devices; a month is 730.5 hours.
    assert found.devices == 2 and found.serving_usd == pytest.approx(2 * 10 * 730.5 * 12)
    assert found.months_until_equal == pytest.approx(7304 / (2 * 10 * 730.5))
    with pytest.raises(UsageError, match="per_day"):
        lifetime_of(1, 1, 1, 0, 1)


def test_the_command():
    devices = "l4,h100-sxm,gtx-1080-ti"
    words = ["serve", "gpt2", "--precision", "bf16", "--prompt", "128", "--answer", "32", "--hardware", devices]
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    prices = [row["usd_per_million_tokens"] for row in document["results"]]
    assert prices == sorted(prices) and "gtx-1080-ti" in document["left_out"]
    assert CliRunner().invoke(main, ["serve", "gpt2", "--prompt", "3"]).exit_code == 2


def test_an_amount_a_day_takes_suffixes_and_nothing_is_compared_with_no_training():
    words = ["serve", "gpt2", "--prompt", "100", "--answer", "20", "--hardware", "l4"]
    results = [CliRunner().invoke(main, [*words, "--per-day", amount]) for amount in ("1M", "1000000")]
    lives = [next(line for line in each.stdout.splitlines() if line.startswith("Life")) for each in results]
    assert lives[0] == lives[1] and "$0 training" in lives[0] and "less than" not in lives[0]
    assert CliRunner().invoke(main, [*words, "--per-day", "many"]).exit_code == 2
