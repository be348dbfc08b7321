"""Many tables timed as one are what they are one by one; cards that send through the host; gradients that show."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import hardware_db
from estimator.parallel.collectives import all_reduce_s
from estimator.parallel.costs import STOLEN, Setting
from estimator.parallel.memory import BytesPerParameter
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.ranks import Ranks
from estimator.parallel.running import Times
from estimator.parallel.stack import APEX, MEGATRON, TORCH
from estimator.parallel.sync import Load, sync_of
from estimator.parallel.values import triple
from profiles.library import Question, find

DATABASE = hardware_db.load()
H100 = DATABASE.device("h100-sxm")
SETTING = Setting(H100, network_of(H100, usual_system(DATABASE, H100)), MEGATRON)
TWO = Parallelism(data_parallel=2)


@cache
def profile(batch):
    return find(Question("gpt2", "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024).at(batch_size=batch)


def test_tables_timed_together_take_what_they_take_alone():
    splits = [Parallelism(), Parallelism(tensor_parallel=2, sequence_parallel=True), Parallelism(context_parallel=2)]
    runs = [SETTING.run(profile(batch), split) for batch in (1, 4) for split in splits]
    together, alone = Times(), Times()
    together.prepare(runs)
    for run in runs:
        (_, one), (_, other) = together.of(run), alone.of(run)
        np.testing.assert_allclose(one.device_s, other.device_s, rtol=1e-12)
        np.testing.assert_allclose(one.host_s, other.host_s, rtol=1e-12)
        assert one.bound.tolist() == other.bound.tolist() and one.basis == other.basis


@pytest.mark.parametrize(("name", "share"), [("rtx-4090", 0.22), ("rtx-a4000", 0.55)])
def test_geforce_cards_send_through_the_memory_of_the_host(name, share):
    device = DATABASE.device(name)
    pair = network_of(device, None).group(2, 1)
    expected = 2 * 1 / 2 * 1e9 / (share * device.link_bandwidth_bytes_per_s)
    assert all_reduce_s(1e9, pair)[1] == pytest.approx(expected, rel=0.01)


def test_hidden_gradients_steal_a_share_of_the_backward_pass():
    each = BytesPerParameter(4, 4, 8, 4)
    load = Load(1e9, 0.0, 10**9)
    exposed, sent = sync_of(load, each, Ranks(TWO, SETTING.network), replace(SETTING, stack=TORCH), (triple(10.0),) * 2)
    last = sent * 25 * 2**20 / 4e9
    np.testing.assert_allclose(exposed, last + STOLEN * (sent - last))
    shown, all_of_it = sync_of(
        load, each, Ranks(TWO, SETTING.network), replace(SETTING, stack=APEX), (triple(10.0),) * 2
    )
    np.testing.assert_allclose(shown, all_of_it)


def test_a_core_that_sends_does_not_compute():
    """A process with one core adds all that it sends to its step; one with a whole processor hardly any of it."""
    epyc = DATABASE.device("epyc-9654")
    each, load = BytesPerParameter(4, 4, 8, 4), Load(1e9, 0.0, 10**9)
    ranks, windows = Ranks(TWO, SETTING.network), (triple(10.0),) * 2
    one = replace(SETTING, device=epyc.fraction(1 / epyc.compute_units, memory_bytes=None), stack=TORCH)
    exposed, sent = sync_of(load, each, ranks, one, windows)
    np.testing.assert_allclose(exposed, sent)
    np.testing.assert_allclose(replace(one, device=epyc).stolen, STOLEN)


def test_apex_sums_gradients_of_mixed_precision_in_16_bits():
    assert BytesPerParameter.of(profile(1), TWO, APEX).wire == 2
    assert BytesPerParameter.of(profile(1), TWO, TORCH).wire == 4
