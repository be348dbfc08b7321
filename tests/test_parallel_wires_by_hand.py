"""What passes inside of layers that are split, in literal figures: sums, experts' rows, keys and values."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import device, operation

from estimator.parallel.costs import Setting
from estimator.parallel.layout import layout_of
from estimator.parallel.memory import kept_of
from estimator.parallel.network import Network
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.ranks import Ranks
from estimator.parallel.roles import Role
from estimator.parallel.running import TIMES
from estimator.parallel.stack import MEGATRON
from estimator.parallel.step import parallel_step
from estimator.parallel.wires import _keys_and_values, _payload, _routing_s, wires_of
from estimator.timing import streaming
from profiles.library import Question, find
from profiles.trace_record import RawTrace, fold

SETTING = Setting(device(), Network("box", 8, 100e9, 10e9, "switch", 8), MEGATRON)
LINK, HOP, START, MID = 80e9, 3.4e-6, 8.4e-6, 1
TOKENS, WIDTH = 2048, 4096


@cache
def recorded(name, precision):
    return find(Question(name, "train", precision, "adamw", "cuda"), 1, TOKENS)


def wires(name="llama-2-7b", precision="amp_bfloat16", **degrees):
    profile, split = recorded(name, precision), Parallelism(**degrees)
    table, _ = TIMES.of(SETTING.run(profile, split))
    return wires_of(layout_of(profile), table, split, SETTING)


def summed(payload):
    """Seconds of a ring of eight: 7/8 of the payload twice, and 14 hops."""
    return 2 * 7 / 8 * payload / LINK + START + 14 * HOP


@pytest.mark.parametrize(("precision", "size"), [("amp_bfloat16", 2), ("float32", 4)])
def test_each_layer_sums_its_tokens_twice(precision, size):
    """Shoeybi et al., 2019: two sums of b s h a layer and pass; embedding and head sum once each."""
    found = wires(precision=precision, tensor_parallel=8).tensor
    assert found[MID, 1:-1] == pytest.approx([2 * summed(size * TOKENS * WIDTH)] * 32)
    assert found[MID, [0, -1]] == pytest.approx([summed(size * TOKENS * WIDTH)] * 2)


def test_experts_get_two_rows_of_each_token_and_send_them_back():
    """Seven eighths of 2 x 2,048 rows of 4,096 in two bytes leave a device, and come back."""
    found = wires("mixtral-8x7b", data_parallel=8, expert_parallel=8)
    payload = 2 * 2 * TOKENS * WIDTH
    assert found.expert[MID, 1:-1] == pytest.approx([2 * (7 / 8 * payload / LINK + START + HOP)] * 32)
    assert not found.tensor.any() and not found.context.any() and not found.merging.any()


@pytest.mark.parametrize("parts", [2, 4])
def test_keys_and_values_pass_around_a_ring(parts):
    """Each device's keys and values, 2 x 4,096 of its tokens in two bytes, pass to all others one after the other.

    Merging: 12 bytes of each feature of its own queries, for every other device.
    """
    found = wires(context_parallel=parts)
    passed = 2 * 2 * TOKENS * WIDTH / parts
    assert found.context[MID, 1:-1] == pytest.approx([(parts - 1) * (passed / LINK + HOP)] * 32)
    merged = (parts - 1) * 12 * TOKENS / parts * WIDTH * streaming(1.0, device()).mid
    assert found.merging[MID, 1:-1] == pytest.approx([merged] * 32)
    assert not found.tensor.any() and not found.expert.any()


def test_keys_of_grouped_queries_pass_once():
    """Llama 3.1 8B has 8 heads of keys for 32 of queries."""
    found = wires("llama-3.1-8b", context_parallel=2)
    assert found.context[MID, 1:-1] == pytest.approx([2 * 2 * TOKENS / 2 * 1024 / LINK + HOP] * 32)


def test_whole_layers_send_nothing():
    found = wires(data_parallel=8)
    assert not np.concatenate([found.tensor, found.expert, found.context, found.merging]).any()


def table(family, precision="bfloat16"):
    """One operation with a result of 4 x 6 and a depth of 8, two at once."""
    one = operation("aten.it", family, "matrix", "forward", 768, 1, 1, precision=precision)
    sized = replace(one, dims=(("m", 4), ("n", 6), ("k", 8), ("batch", 2)))
    return fold(RawTrace([sized], [], 1, 4)).table


@pytest.mark.parametrize(
    ("precision", "size"),
    [("bfloat16", 2), ("float16", 2), ("float8", 2), ("float32", 4), ("tf32", 4), ("float64", 8)],
)
def test_results_on_the_wire(precision, size):
    assert _payload(table("matmul", precision), np.array([True])) == size * 4 * 6 * 2
    assert _payload(table("matmul", precision), np.array([False])) == 0


@pytest.mark.parametrize(("family", "both"), [("attention", 2), ("matmul", 1)])
def test_a_fused_attention_reads_keys_and_values_and_a_product_one_of_them(family, both):
    layout = SimpleNamespace(role=np.array([Role.HEADS]), grouped=0.25)
    found = _keys_and_values(layout, table(family), np.array([True]))
    assert found == both * 2 * 6 * 8 * 2 * 0.25


def test_devices_that_share_an_expert_gather_the_rows_that_each_sent_a_part_of():
    """Four times two devices: 3/4 of half of 8 MB to other experts, the other half from beside; there and back."""
    split = Parallelism(data_parallel=4, tensor_parallel=2, expert_parallel=4)
    found = _routing_s(np.array([8e6, 0.0]), split, Ranks(split, SETTING.network))
    sent, gathered = 3 / 4 * 4e6 / LINK + START + HOP, 1 / 2 * 8e6 / LINK + START + HOP
    assert found[MID] == pytest.approx([2 * (sent + gathered), 0])


def test_experts_have_the_mean_of_all_devices_to_do_unless_said():
    profile = recorded("mixtral-8x7b", "amp_bfloat16")
    assert kept_of(profile, Parallelism(), MEGATRON).whole.tolist() == (
        kept_of(profile, Parallelism(), MEGATRON, 1.0).whole.tolist()
    )


def test_a_stage_of_a_single_layer_computes_it_again():
    split = Parallelism(pipeline_parallel=32, activation_checkpointing="full")
    first = parallel_step(recorded("llama-2-7b", "amp_bfloat16"), split, SETTING, 32).memory[0]
    assert first.working_bytes == TOKENS * (2 * (4 * WIDTH + 3 * 11008) + 2 * 4 * WIDTH)


@pytest.mark.parametrize("name", ["llama-2-7b", "mixtral-8x7b"])
def test_one_device_has_all_copies_in_8_bits(monkeypatch, name):
    monkeypatch.setattr("estimator.parallel.stage_memory.eight_bit_bytes", lambda _: 1000)
    (found,) = parallel_step(recorded(name, "amp_bfloat16"), Parallelism(), SETTING, 1).memory
    assert found.copy_bytes == 1000
