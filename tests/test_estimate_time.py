"""Time of operations and steps, worked by hand from FLOPs, bytes and the priors."""

import numpy as np
import pytest
from hand_made import LAYERS, PARAMETERS, WIDTH, device, operation, profile

from estimator import TrainingRun
from estimator.communication import Link
from estimator.memory import Replica
from estimator.memory.overheads import GENERAL
from estimator.operation_time import BOUNDS, TimeSettings, predict
from estimator.priors import PRIORS
from estimator.step import step_time
from estimator.workload import Workload, divisors
from hardware_db.errors import UnknownPrecision, UsageError
from profiles.trace_record import RawTrace, fold

BATCH, LENGTH = 8, 16
TOKENS = BATCH * LENGTH
ALONE = Link("none", 1, 1, float("inf"))


def table_of(*operations):
    return fold(RawTrace(list(operations), [], BATCH, LENGTH)).table


def timed(row, **figures):
    return predict(table_of(row), device(**figures), TimeSettings())


def test_a_product_is_bound_by_compute():
    breakdown = timed(operation("aten.mm", "matmul", "matrix", "forward", 10**13, 10**6, 0))
    expected = LAYERS * (1e13 / (400e12 * 0.65) + 3e-6)
    assert breakdown.device_s[1, 0] == pytest.approx(expected, rel=1e-12)
    assert BOUNDS[breakdown.bound[0]] == "compute"


def test_an_addition_is_bound_by_memory():
    breakdown = timed(operation("aten.add", "elementwise", "vector", "forward", 10**6, 2 * 10**9, 10**9))
    assert breakdown.device_s[1, 0] == pytest.approx(LAYERS * (3e9 / (2e12 * 0.78) + 3e-6), rel=1e-12)
    assert BOUNDS[breakdown.bound[0]] == "memory"


def test_a_tiny_operation_is_bound_by_its_start_and_the_host():
    breakdown = timed(operation("aten.add", "elementwise", "vector", "forward", 10, 40, 40))
    assert BOUNDS[breakdown.bound[0]] == "launch"
    assert breakdown.host_s[1, 0] == pytest.approx(LAYERS * PRIORS["launch"].typical)


def test_views_take_no_time():
    breakdown = timed(operation("aten.view", "view", "none", "forward", 0, 0, 0))
    assert not breakdown.device_s.any() and not breakdown.host_s.any()


def test_low_mid_high_are_ordered():
    breakdown = predict(profile().table(BATCH, LENGTH), device(), TimeSettings())
    assert (np.diff(breakdown.device_s, axis=0) > 0).all()
    assert (np.diff(breakdown.host_s, axis=0) > 0).all()


def test_a_compiled_graph_needs_no_host_and_fuses_traffic():
    table = profile().table(BATCH, LENGTH)
    eager, graph = (predict(table, device(), TimeSettings(execution)) for execution in ("eager", "graph"))
    assert not graph.host_s.any()
    assert (graph.device_s <= eager.device_s).all() and (graph.device_s < eager.device_s).any()


def test_half_precision_arithmetic_runs_at_the_float32_vector_rate():
    row = operation("aten.gelu", "activation", "vector", "forward", 10**13, 10, 10)
    breakdown = timed(row, vector_peaks={"float32": 20e12, "float16": 99e12})
    assert breakdown.device_s[1, 0] == pytest.approx(LAYERS * (1e13 / (20e12 * 0.5) + 3e-6), rel=1e-12)


def test_without_a_vector_peak_the_bytes_count_and_it_is_said():
    row = operation("aten.gelu", "activation", "vector", "forward", 10**13, 10**9, 10**9)
    breakdown = timed(row, vector_peaks={})
    assert breakdown.device_s[1, 0] == pytest.approx(LAYERS * (2e9 / (2e12 * 0.78) + 3e-6), rel=1e-12)
    assert "no vector peak is known" in breakdown.notes[0]


def test_a_float64_operation_never_runs_at_the_float32_rate():
    row = operation("aten.mul", "elementwise", "vector", "forward", 10**13, 10**9, 10**9, precision="float64")
    assert timed(row).notes


def test_a_precision_without_a_peak_is_an_error():
    row = operation("aten.mm", "matmul", "matrix", "forward", 10**13, 10, 10, precision="float64")
    with pytest.raises(UnknownPrecision, match="big has no float64"):
        timed(row)


def test_cards_of_75_w_hold_less_of_their_peak():
    row = operation("aten.mm", "matmul", "matrix", "forward", 10**13, 10, 10)
    strong, weak = (timed(row, tdp_w=w).device_s[1, 0] for w in (400.0, 72.0))
    assert weak / strong == pytest.approx(0.65 / 0.35, rel=1e-3)


def step_of(batch, micro, replicas=1, link=ALONE, **figures):
    work = Workload(TrainingRun(profile(), steps=1, global_batch_size=batch))
    return step_time(work, device(**figures), link, Replica(micro, micro * replicas < batch, replicas))


def test_a_step_by_hand():
    row, weight = 2 * TOKENS * WIDTH, WIDTH * WIDTH
    start, link = 3e-6, 2e12 * 0.78
    # at 128 tokens the forward product is bound by memory, the backward's (twice the FLOPs, as many bytes) by compute
    product = (2 * row + 2 * weight) / link + start
    relu = 2 * row / link + start
    adam = 14 * weight / link + start
    step = step_of(BATCH, BATCH)
    assert step.forward.mid == pytest.approx(LAYERS * (product + relu), rel=1e-12)
    assert step.backward.mid == pytest.approx(LAYERS * (4 * TOKENS * weight / (0.65 * 400e12) + start), rel=1e-12)
    assert step.optimizer.mid == pytest.approx(LAYERS * adam, rel=1e-12)
    assert step.device.mid == pytest.approx(step.forward.mid + step.backward.mid + step.optimizer.mid)
    assert step.host.mid == pytest.approx(4 * LAYERS * 8e-6)
    assert step.total.mid == max(step.device.mid, step.host.mid)
    assert sum(step.buckets.values()) == pytest.approx(step.total.mid)


def test_accumulation_repeats_the_passes_not_the_optimizer():
    whole, parts = step_of(8, 8), step_of(32, 8)
    assert parts.forward.mid == pytest.approx(4 * whole.forward.mid)
    assert parts.backward.mid == pytest.approx(4 * whole.backward.mid)
    adding = 3 * 3 * 2 * PARAMETERS / (2e12 * 0.78)  # three more micro-batches: read two, write one
    assert parts.optimizer.mid == pytest.approx(whole.optimizer.mid + adding)


def test_a_slow_network_binds():
    slow = Link("inter_node", 2, 2, 1e6)
    step = step_of(16, 8, replicas=2, link=slow)
    assert step.bound == "network"
    assert step.sent.mid == pytest.approx(2 * 1 / 2 * 2 * PARAMETERS / 0.8e6, rel=1e-3)
    assert step.total.mid == pytest.approx(max(step.device.mid, step.host.mid) + step.exposed.mid, rel=1e-12)


def test_the_host_binds_small_steps_on_a_fast_device():
    step = step_of(2, 2, memory_bandwidth_bytes_per_s=1e15)
    assert step.bound == "launch" and step.total.mid == step.host.mid


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
