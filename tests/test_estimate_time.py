"""Time of a step, put together by hand from the times of its operations."""

import numpy as np
import pytest
from hand_made import PARAMETERS, device, profile

from estimator import TrainingRun
from estimator.memory import Replica
from estimator.memory.overheads import GENERAL
from estimator.parallel.collectives import NETWORK_REACHED
from estimator.parallel.network import Network
from estimator.step import step_time
from estimator.timing import TimeSettings, correction_of, predict, side_by_side
from estimator.timing.parameters import parameters_of
from estimator.workload import Workload, divisors
from hardware_db.errors import UsageError

BATCH, LENGTH = 8, 16
BOX = Network("box", 8, 300e9, 25e9, "switch", 8)
ORDER = parameters_of("gpu")["side_by_side_order"]


def step_of(batch, micro, replicas=1, network=BOX, **figures):
    work = Workload(TrainingRun(profile(), steps=1, global_batch_size=batch))
    return step_time(work, device(**figures), network, Replica(micro, micro * replicas < batch, replicas))


def test_a_step_by_hand():
    table = profile().table(BATCH, LENGTH)
    breakdown = predict(table, device(), TimeSettings())
    step = step_of(BATCH, BATCH)
    for phase in ("forward", "backward", "optimizer"):
        expected = breakdown.device_s[:, table.phase.mask(phase)].sum(axis=1)
        found = getattr(step, phase)
        assert (found.low, found.mid, found.high) == pytest.approx(tuple(expected))
    assert step.device.mid == pytest.approx(step.forward.mid + step.backward.mid + step.optimizer.mid)
    assert step.host.mid == pytest.approx(breakdown.host_s[1].sum())
    assert step.total.mid == pytest.approx(float(side_by_side(step.device.mid, step.host.mid, ORDER)))
    assert step.total.low < step.total.mid < step.total.high
    assert sum(step.buckets.values()) == pytest.approx(step.total.mid)


def test_accumulation_repeats_the_passes_not_the_optimizer():
    whole, parts = step_of(8, 8), step_of(32, 8)
    assert parts.forward.mid == pytest.approx(4 * whole.forward.mid)
    assert parts.backward.mid == pytest.approx(4 * whole.backward.mid)
    # three more micro-batches: read two, write one, at the speed of additions
    reached = 2e12 * parameters_of("gpu")["elementwise_bandwidth"] * correction_of(device()).bandwidth
    adding = 3 * 3 * 2 * PARAMETERS / reached
    assert parts.parts["accumulation"].mid == pytest.approx(adding)
    assert parts.optimizer.mid == pytest.approx(whole.optimizer.mid)


def test_a_slow_network_binds():
    slow = Network("slow", 1, None, 1e6, "switch", 1)
    step = step_of(16, 8, replicas=2, network=slow)
    assert step.bound == "network"
    wire = 2 * 1 / 2 * 2 * PARAMETERS / (1e6 * NETWORK_REACHED[1])
    assert step.sent.mid == pytest.approx(wire, rel=1e-3)
    together = float(side_by_side(step.device.mid, step.host.mid, ORDER))
    late = step.parts["stragglers"].mid
    assert step.total.mid == pytest.approx(together + step.exposed.mid + late, rel=1e-12)
    assert late == pytest.approx(0.007 * np.sqrt(2 * np.log(2)) * (step.total.mid - late), rel=1e-9)


def test_the_host_binds_small_steps_on_a_fast_device():
    step = step_of(2, 2, memory_bandwidth_bytes_per_s=1e15)
    assert step.bound == "launch" and step.total.mid == pytest.approx(step.host.mid, rel=0.01)


def test_a_compiled_graph_has_almost_no_host():
    eager, graph = step_of(8, 8), step_of(8, 8, kind="tpu")
    assert graph.host.mid < 0.01 * eager.host.mid


def test_low_and_high_hold_for_every_operation():
    breakdown = predict(profile().table(BATCH, LENGTH), device(), TimeSettings())
    assert (np.diff(breakdown.device_s, axis=0) > 0).all()
    assert (np.diff(breakdown.host_s, axis=0) > 0).all()


def test_divisors():
    assert divisors(1) == [1]
    assert divisors(97) == [97, 1]
    assert divisors(36) == [36, 18, 12, 9, 6, 4, 3, 2, 1]


def test_micro_batches_keep_to_what_the_profile_holds_for():
    even = profile(points=((2, 16), (4, 16), (8, 16), (2, 32), (2, 48), (4, 48)))
    work = Workload(TrainingRun(even, steps=1, global_batch_size=12))
    assert work.replica(1, GENERAL, 10**12).micro_batch_size == 12
    assert Workload(TrainingRun(even, steps=1, global_batch_size=6)).replica(1, GENERAL, 1).micro_batch_size == 2
    with pytest.raises(UsageError, match="holds for multiples of batch 2 only"):
        Workload(TrainingRun(even, steps=1, global_batch_size=3)).replica(1, GENERAL, 10**12)
