"""What follows the backward pass of a split step, and what passes inside its layers, in literal figures."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import device

from estimator.parallel.costs import Setting, _beside
from estimator.parallel.lateness import late_share
from estimator.parallel.memory import BytesPerParameter
from estimator.parallel.network import Network
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.ranks import Ranks
from estimator.parallel.stack import APEX, MEGATRON, TORCH
from estimator.parallel.sync import Load, adding_s, copies_of, optimizer_s, sync_of
from estimator.parallel.values import triple
from estimator.timing import streaming
from estimator.timing.parameters import parameters_of

NETWORK = Network("box", 8, 100e9, 10e9, "switch", 8)
SETTING = Setting(device(), NETWORK, TORCH)
EACH = BytesPerParameter(4, 4, 8, 4)
MID = 1
NO_WINDOW, LONG = (triple(0.0),) * 2, (triple(100.0),) * 2
HOP, START = 3.4e-6, 8.4e-6


def middle(load, split, setting=SETTING, windows=NO_WINDOW, each=EACH):
    exposed, sent = sync_of(load, each, Ranks(split, setting.network), setting, windows)
    return exposed[MID], sent[MID]


def test_ddp_on_eight_devices():
    """4 GB of gradients: 2 x 7/8 x 4 GB over 80 GB/s, and 14 hops."""
    seconds = 2 * 7 / 8 * 4e9 / 80e9 + START + 14 * HOP
    exposed, sent = middle(Load(1e9, 0.0, 10**9), Parallelism(data_parallel=8))
    assert sent == pytest.approx(seconds) and exposed == pytest.approx(seconds)
    # Beside a long pass the last 25 MiB show, and 8 % of the rest is stolen.
    exposed, sent = middle(Load(1e9, 0.0, 10**9), Parallelism(data_parallel=8), windows=LONG)
    last = seconds * 26_214_400 / 4e9
    assert exposed == pytest.approx(last + 0.08 * (seconds - last))
    # A pass half as long hides half.
    exposed, _ = middle(Load(1e9, 0.0, 10**9), Parallelism(data_parallel=8), windows=(triple(seconds / 2),) * 2)
    assert exposed == pytest.approx(seconds / 2 * 1.08)
    assert middle(Load(1e9, 0.0, 10**9), Parallelism(data_parallel=8), replace(SETTING, stack=APEX), LONG)[0] == sent


def test_less_than_a_bucket_shows_as_a_whole():
    exposed, sent = middle(Load(1e6, 0.0, 10**6), Parallelism(data_parallel=8), windows=LONG)
    assert exposed == pytest.approx(sent) == pytest.approx(2 * 7 / 8 * 4e6 / 80e9 + START + 14 * HOP)


@pytest.mark.parametrize("stage", [1, 2])
def test_zero_scatters_gradients_and_gathers_weights(stage):
    """Wire of 2 bytes there, weights of 4 bytes back: each 7/8 over 80 GB/s and 7 hops."""
    each = BytesPerParameter(4, 4, 8, 2)
    _, sent = middle(Load(1e9, 0.0, 10**9), Parallelism(data_parallel=8, zero_stage=stage), each=each)
    assert sent == pytest.approx(7 / 8 * (2e9 + 4e9) / 80e9 + 2 * (START + 7 * HOP))


def test_gradients_hide_behind_the_pass_before_and_weights_behind_the_next():
    """Where there is time, of 2 GB of gradients and 4 GB of weights a bucket in 2 GB shows, and 8 % of the rest."""
    each, split = BytesPerParameter(4, 4, 8, 2), Parallelism(data_parallel=8, zero_stage=1)
    reduced, gathered = (7 / 8 * size / 80e9 + START + 7 * HOP for size in (2e9, 4e9))
    bucket = 26_214_400 / 2e9
    for windows, shown, hidden in (((0.0, 100.0), reduced, gathered), ((100.0, 0.0), gathered, reduced)):
        found, _ = middle(Load(1e9, 0.0, 10**9), split, windows=tuple(map(triple, windows)), each=each)
        assert found == pytest.approx(shown + hidden * (bucket + 0.08 * (1 - bucket)))


def test_the_last_bucket_is_one_of_all_gradients():
    exposed, sent = middle(Load(5e8, 5e8, 10**9), Parallelism(data_parallel=8, expert_parallel=4), windows=LONG)
    bucket = 26_214_400 / 4e9
    assert exposed == pytest.approx(sent * (bucket + 0.08 * (1 - bucket)))


def test_zero_3_has_sent_all_before():
    _, sent = middle(Load(1e9, 0.0, 10**9), Parallelism(data_parallel=8, zero_stage=3))
    assert sent == 0.0


def test_copies_of_a_sharded_group_are_summed():
    """Four shards in each of two groups of a machine: a quarter of the gradients is summed over two devices."""
    split = Parallelism(data_parallel=8, zero_stage=3, sharding_group=4)
    _, sent = middle(Load(1e9, 0.0, 10**9), split)
    assert sent == pytest.approx(2 * 1 / 2 * 1e9 / 80e9 + START + 2 * HOP)


def test_experts_are_summed_over_those_that_hold_the_same():
    """Eight replicas, experts spread over four: each expert has two copies."""
    split = Parallelism(data_parallel=8, expert_parallel=4)
    _, sent = middle(Load(1e9, 5e8, 10**9), split)
    dense = 2 * 7 / 8 * 4e9 / 80e9 + START + 14 * HOP
    assert sent == pytest.approx(dense + 2 * 1 / 2 * 2e9 / 80e9 + START + 2 * HOP)
    sharded = replace(split, zero_stage=1)
    _, sent = middle(Load(1e9, 5e8, 10**9), sharded)
    assert sent == pytest.approx(2 * (7 / 8 * 4e9 / 80e9 + START + 7 * HOP + 1 / 2 * 2e9 / 80e9 + START + HOP))


def test_a_fused_optimizer_reads_and_writes_all_once():
    """State twice, gradient and weight once: 2 x 12 + 4 + 2 bytes of 1e8 parameters; faster and slower by a fifth."""
    each, setting = BytesPerParameter(2, 4, 12, 2), replace(SETTING, stack=MEGATRON)
    share = parameters_of("gpu")["optimizer_bandwidth"]
    costs = SimpleNamespace(optimizer=triple(1.0))
    found = optimizer_s(Load(1e8, 0.0, 10**8), each, costs, Parallelism(), setting)
    ends = (min(1.0, 1.2 * share), share, 0.8 * share)
    assert found == pytest.approx([30e8 / (2e12 * end) for end in ends])
    eighth = optimizer_s(Load(1e8, 0.0, 10**8), each, costs, Parallelism(data_parallel=8, zero_stage=1), setting)
    assert eighth == pytest.approx(found / 8)
    assert optimizer_s(Load(1e8, 0.0, 10**8), each, costs, Parallelism(data_parallel=8), setting) == pytest.approx(
        found
    )


def test_other_optimizers_take_their_share_of_the_recorded_step():
    costs = SimpleNamespace(optimizer=triple(1.0, 2.0, 3.0))
    each = BytesPerParameter(2, 4, 12, 2, widened=2.0)
    found = optimizer_s(Load(1e8, 1e8, 4 * 10**8), each, costs, Parallelism(), SETTING)
    assert found == pytest.approx([1.0, 2.0, 3.0])
    split = Parallelism(data_parallel=8, zero_stage=1, expert_parallel=4)
    # An eighth of what is dense, half of the experts: each lies on two of the eight.
    found = optimizer_s(Load(1e8, 1e8, 4 * 10**8), each, costs, split, SETTING)
    assert found == pytest.approx(np.array([1.0, 2.0, 3.0]) * (1 / 8 + 1 / 2) / 2)


def test_gradients_are_added_to_those_kept():
    """Two are read, one is written, of 4 bytes each; ZeRO 2 keeps a part of them."""
    one = streaming(12e8, device())
    assert adding_s(Load(1e8, 0.0, 1), EACH, Parallelism(), SETTING) == pytest.approx([one.low, one.mid, one.high])
    both = adding_s(Load(5e7, 5e7, 1), EACH, Parallelism(data_parallel=8, zero_stage=1), SETTING)
    assert both[MID] == pytest.approx(one.mid)
    eighth = adding_s(Load(1e8, 0.0, 1), EACH, Parallelism(data_parallel=8, zero_stage=2), SETTING)
    assert eighth[MID] == pytest.approx(streaming(1.5e8, device()).mid)
    assert adding_s(Load(1e8, 0.0, 1), EACH, Parallelism(), replace(SETTING, stack=MEGATRON)).tolist() == [0, 0, 0]


def test_gathered_weights_are_read_and_written():
    each, byte_s = BytesPerParameter(2, 4, 12, 3), streaming(1.0, device()).mid
    gathered, scattered = copies_of(np.array([0.0, 1e8]), each, device())
    assert gathered[MID] == pytest.approx([0, 2 * 2 * 1e8 * byte_s])
    assert scattered[MID] == pytest.approx([0, (2 + 3) * 1e8 * byte_s])


def test_messages_beside_computing_show_where_they_are_longer():
    """3 s of messages beside 2 s of attention: 1 s longer, and a tenth of 2 s stolen."""
    stolen = triple(0.0, 0.1, 0.2)
    assert _beside(np.full((3, 1), 3.0), np.full((3, 1), 2.0), stolen).ravel() == pytest.approx([1.0, 1.2, 1.4])
    assert _beside(np.full((3, 1), 1.0), np.full((3, 1), 2.0), stolen).ravel() == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("units", "stolen"), [(1, [1, 1, 1]), (4, [0.25] * 3), (10, [0.1, 0.1, 0.15]), (None, [1, 1, 1])]
)
def test_what_a_collective_beside_computing_takes(units, stolen):
    """Calculon's 2 and 15 % and 8 between; of a CPU one core."""
    setting = Setting(device(kind="cpu", compute_units=units), NETWORK, TORCH)
    assert setting.stolen == pytest.approx(stolen)
    assert SETTING.stolen == pytest.approx([0.02, 0.08, 0.15])


@pytest.mark.parametrize(
    ("precision", "weight", "state", "split", "stack", "expected"),
    [
        # Recorded bytes of weight and states -> weight, kept gradient, optimizer, gradient on the wire, widening.
        ("bfloat16", 2, 4, Parallelism(), TORCH, (2, 2, 4, 2, 1)),
        # Megatron keeps a float32 copy and states of 16-bit weights twice as wide, float32 gradients, 16-bit wire.
        ("bfloat16", 2, 4, Parallelism(), MEGATRON, (2, 4, 12, 2, 2)),
        ("amp_bfloat16", 4, 8, Parallelism(), MEGATRON, (2, 4, 12, 2, 1)),
        ("amp_bfloat16", 4, 8, Parallelism(), TORCH, (4, 4, 8, 4, 1)),
        # FSDP's mixed precision gathers 16-bit weights.
        ("amp_bfloat16", 4, 8, Parallelism(data_parallel=8, zero_stage=3), TORCH, (2, 4, 12, 4, 1)),
        ("amp_float16", 4, 8, Parallelism(), APEX, (4, 4, 8, 2, 1)),
        ("float32", 4, 8, Parallelism(), MEGATRON, (4, 4, 8, 4, 1)),
    ],
)
def test_bytes_of_a_parameter_by_hand(precision, weight, state, split, stack, expected):
    memory = SimpleNamespace(parameter_bytes=weight * 100, optimizer_state_bytes=state * 50)
    step = SimpleNamespace(precision=precision, memory=memory, parameters=100, trainable_parameters=50)
    found = BytesPerParameter.of(step, split, stack)
    assert (found.weight, found.gradient, found.optimizer, found.wire, found.widened) == expected


def test_no_network_is_needed_by_one_device():
    lonely = Setting(device(), Network("one", 1, None, None, "switch", 1), TORCH)
    assert middle(Load(1e9, 0.0, 10**9), Parallelism(), lonely) == (0.0, 0.0)
    assert math.isfinite(adding_s(Load(1e9, 0.0, 1), EACH, Parallelism(), lonely)[MID])


def test_slices_of_a_torus_come_late_and_a_part_of_one_does_not():
    """A fortieth whenever slices of 16 double; hosts of four vary by 0.7 % of the root of twice the logarithm."""
    slices = Setting(
        device(kind="tpu"), Network("slice", 16, 100e9, 10e9, "torus2d", 4), replace(TORCH, execution="graph")
    )
    assert late_share(4, slices).tolist() == [0, 0, 0]
    assert late_share(8, slices)[MID] == pytest.approx(0.007 * math.sqrt(2 * math.log(2)))
    assert late_share(64, slices)[MID] == pytest.approx(0.007 * math.sqrt(2 * math.log(16)) + 2 * 0.025)
