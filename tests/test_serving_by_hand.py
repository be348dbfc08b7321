"""Serving put together by hand: from single passes to an answer, its price and a life."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hand_made import LAYERS, device, offer, operation, profile

import hardware_db
from estimator.memory import kv_cache_bytes
from estimator.ranges import Range
from estimator.serving import Dialogue, predictions_on, writing_on
from estimator.serving.everywhere import Question as Asked
from estimator.serving.everywhere import serve_everywhere
from estimator.serving.few_bits import in_int8, with_weight_bits
from estimator.serving.lifetime import lifetime_of
from estimator.serving.passes import Way, forward_pass
from estimator.serving.predictions import Serving
from estimator.serving.writing import Writing
from estimator.timing import streaming
from hardware_db.errors import UsageError
from profiles.library import Question, find
from profiles.trace_record import RawTrace, fold

DB = hardware_db.load()
GPT2 = find(Question("gpt2", "forward", "bfloat16", None, "cuda"))
H100, MI250X = DB.device("h100-sxm"), DB.device("mi250x")


def ends(found):
    return [found.low, found.mid, found.high]


def need(bytes_needed):
    return SimpleNamespace(peak=SimpleNamespace(total_bytes=bytes_needed), total_bytes=bytes_needed)


def test_an_answer_of_eleven_tokens():
    """The first token comes with the prompt, ten more follow; eight sequences at once."""
    row = Writing(
        device(memory_bytes=100), 8, 512, 11, Range(1, 2, 3), Range(0.1, 0.2, 0.4), "", need(50), None, None, ""
    )
    assert ends(row.latency) == pytest.approx([2, 4, 7])
    assert row.tokens_per_s == pytest.approx(8 * 11 / 4)
    assert row.fits and not Serving(device(memory_bytes=49), 8, Range(1, 2, 4), "", need(50), None, None, "").fits


@pytest.mark.parametrize(("compiled", "host", "kernels"), [(False, 0.61, 1.0), (True, 1.0, 0.70)])
def test_a_token_is_a_pass_and_the_cache_of_the_prompt_and_half_of_the_answer(compiled, host, kernels):
    """Fitted: 0.61 of the host's time in eager PyTorch, 0.70 of a compiled pass on a GPU."""
    row = writing_on(GPT2, H100, Dialogue(8, 500, 101), compiled=compiled)
    one = H100.logical_device()
    cached = kv_cache_bytes(GPT2, 8, 550)
    single, _ = forward_pass(GPT2, (8, 1), one, Way(compiled, host))
    read = streaming(cached, one)
    least = (row.need.weight_bytes + cached) / one.memory_bandwidth_bytes_per_s
    by_hand = [max(least, kernels * a + b) for a, b in zip(ends(single), ends(read), strict=True)]
    assert ends(row.token) == pytest.approx(by_hand)
    assert ends(row.prefill) == pytest.approx(ends(forward_pass(GPT2, (8, 500), one, Way(compiled))[0]))


def test_prices_of_one_of_two_dies():
    """An MI250X is two devices to the framework: 8 USD an hour for one package are 4 for each."""
    rented = offer("mi250x", 1, 8.0)
    row = writing_on(GPT2, MI250X, Dialogue(8, 64, 16), rented)
    assert row.usd_per_million.mid == pytest.approx(row.latency.mid * 4 / 3600 / (8 * 16) * 1e6)
    guessed = predictions_on(GPT2, MI250X, 8, rented)
    assert ends(guessed.usd_per_thousand) == pytest.approx([s * 4 / 3600 / 8 * 1000 for s in ends(guessed.latency)])
    assert guessed.per_s == pytest.approx(8 / guessed.latency.mid)


def test_bits_of_a_weight_lie_between_1_and_16():
    assert Dialogue(1, 1, 1, 1).weight_bits == 1 and Dialogue(1, 1, 1, 16).weight_bits == 16
    for bits in (0.5, 16.5):
        with pytest.raises(UsageError):
            Dialogue(1, 1, 1, bits)


def test_a_life_by_hand():
    """A month has 30.4375 days: one device at 2 USD an hour costs 1,461 USD a month."""
    found = lifetime_of(1461.0, 2.0, 1000.0, 86_400_000.0, 1)
    assert (found.devices, found.months_until_equal) == (1, 1.0)
    assert found.serving_usd == pytest.approx(1461) and found.total_usd == pytest.approx(2922)
    assert lifetime_of(1461.0, 2.0, 1000.0, 86_400_001.0, 24).devices == 2
    assert lifetime_of(1462.0, 2.0, 1000.0, 1.0, 1).months_until_equal is None
    assert lifetime_of(1.0, 0.5, 0.5, 0.5, 0.5).devices == 1


def test_the_cheapest_that_fits_comes_first_and_others_say_why_not():
    rows, left_out = serve_everywhere(Asked((GPT2,), 8, devices="h100-sxm,l4,coral-edge-tpu"), DB)
    assert {row.device.id for row in rows} == {"h100-sxm", "l4"} and all(row.fits for row in rows)
    assert rows[0].usd_per_thousand.mid <= rows[1].usd_per_thousand.mid
    assert left_out == {"coral-edge-tpu": "no memory bandwidth of coral-edge-tpu is known"}


def product(k, n, batch=1):
    """One of each of ten layers; reads a thousand bytes besides its weights."""
    one = operation("aten.mm", "matmul", "matrix", "forward", 8 * k * n, 1000 + 2 * k * n, 64)
    return replace(one, dims=(("m", 4), ("n", n), ("k", k), ("batch", batch)))


SUM = operation("aten.add", "elementwise", "vector", "forward", 7, 300, 31)
TABLE = fold(RawTrace([product(8, 16), product(8, 4, batch=2), SUM], [], 1, 4)).table


@pytest.mark.parametrize(("bits", "saved"), [(4, 128 * 1.5), (12, 128 * 0.5), (16, 0)])
def test_bytes_of_narrow_weights_by_hand(bits, saved):
    """Ten products with 8 x 16 weights of two bytes; of two at once both sides are values, and sums have none."""
    dense = replace(profile(), module_parameters=(("h.[0-9]", LAYERS * 128),))
    narrow = with_weight_bits(dense, TABLE, bits)
    assert (TABLE.bytes_read - narrow.bytes_read).tolist() == [saved, 0, 0]
    wider = replace(dense, module_parameters=(("h.[0-9]", LAYERS * 256),))
    with pytest.raises(UsageError, match="dense layers only"):
        with_weight_bits(wider, TABLE, bits)


def test_values_of_8_bits_are_half_as_many_bytes():
    found = in_int8(TABLE)
    assert found.bytes_read.tolist() == [(1000 + 256) // 2, (1000 + 64) // 2, 150]
    assert found.bytes_written.tolist() == [32, 32, 15]
    assert found.precision.values.tolist() == ["int8", "int8", "bfloat16"]


def test_no_token_is_written_before_weights_and_cache_are_read(monkeypatch):
    monkeypatch.setattr("estimator.serving.writing.forward_pass", lambda *_: (Range(0, 0, 0), "measured"))
    monkeypatch.setattr("estimator.serving.writing.streaming", lambda *_: Range(0, 0, 0))
    row = writing_on(GPT2, H100, Dialogue(8, 500, 101))
    read = row.need.weight_bytes + kv_cache_bytes(GPT2, 8, 550)
    assert ends(row.token) == pytest.approx([read / H100.memory_bandwidth_bytes_per_s] * 3)


def test_a_pass_is_eager_and_has_its_host_alone_unless_asked():
    assert Way() == Way(False, 1.0, None, False)


@pytest.mark.parametrize(("int8", "asked"), [(True, "0"), (False, "2")])
def test_which_profile_is_taken_where_a_device_has_none_of_their_precisions(monkeypatch, int8, asked):
    def named(profile, *_):
        raise UsageError(profile.model)

    monkeypatch.setattr("estimator.serving.everywhere.predictions_on", named)
    three = tuple(SimpleNamespace(model=f"{number}", precision="float4") for number in range(3))
    assert serve_everywhere(Asked(three, 8, devices="l4", int8=int8), DB) == ((), {"l4": asked})
