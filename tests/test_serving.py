"""Serving: rows by hand, what cannot be, and the price of a life."""

import json

import pytest
from click.testing import CliRunner

import hardware_db
from estimator.cli import main
from estimator.memory.generation import Generation, generation_of
from estimator.serving import Dialogue, lifetime_of, predictions_on, writing_on
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
