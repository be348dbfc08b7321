"""What a device must hold: parts, accumulation, buckets, and the message when it does not fit."""

import pytest
from hand_made import LAYERS, PARAMETERS, WIDTH, database, device, offer, profile

from estimator import TrainingRun, estimate, estimate_all
from estimator.memory import Replica, memory_of, overhead_of, settings_of
from estimator.workload import Workload

SMALL = profile().at(batch_size=8, sequence_length=16)
ROW = 2 * 8 * 16 * WIDTH


def needed(at_size, replica, **changes):
    return memory_of(at_size, device=device(**changes), settings=settings_of(replica))


def test_parts_by_hand_without_accumulation():
    found = needed(SMALL, Replica(8, accumulates=False, replicas=1))
    # the peak is the optimizer step here: weights, gradients and two states, no activations
    assert (found.parameter_bytes, found.gradient_bytes, found.optimizer_state_bytes) == (
        2 * PARAMETERS,
        2 * PARAMETERS,
        4 * PARAMETERS,
    )
    assert found.activation_bytes == 0 and found.bucket_bytes == 0 and found.input_and_buffer_bytes == ROW
    live = 8 * PARAMETERS + ROW
    assert found.live_bytes == live
    overhead = overhead_of(device())
    workspace = 2 * overhead.workspace_bytes.mid  # the forward and the backward pass have a thread each
    assert found.allocated_bytes == live + workspace + found.slack_bytes
    assert found.reserved_bytes == pytest.approx(found.allocated_bytes * (1 + overhead.reserve_share.mid), abs=1)
    assert found.total_bytes == found.reserved_bytes + overhead.context_bytes.mid
    assert found.total_bytes == pytest.approx(found.total.mid, abs=2)


def test_accumulated_gradients_live_beside_the_activations():
    found = needed(SMALL, Replica(8, accumulates=True, replicas=1))
    assert found.gradient_bytes == 2 * PARAMETERS
    assert found.activation_bytes == LAYERS * ROW  # the end of the forward pass is the peak now


def test_replicas_keep_buckets():
    alone, shared = (needed(SMALL, Replica(8, False, replicas)) for replicas in (1, 8))
    assert shared.bucket_bytes == 2 * PARAMETERS
    assert shared.live_bytes - alone.live_bytes == 2 * PARAMETERS


def test_frozen_parameters_have_no_gradients():
    frozen = profile(trainable_parameters=PARAMETERS // 4).at(8, 16)
    assert needed(frozen, Replica(8, True, 1)).gradient_bytes == PARAMETERS // 2


def test_parts_sum_up():
    found = needed(SMALL, Replica(8, True, 8), kind="cpu", vendor="AMD")
    assert sum(found.parts.values()) == found.total_bytes
    assert list(found.parts.values()) == sorted(found.parts.values(), reverse=True)


def test_the_largest_micro_batch_that_fits_is_taken():
    run = TrainingRun(profile(), steps=1, global_batch_size=1024, sequence_length=1024)
    work = Workload(run)
    for capacity in (2 * 10**9, 10**10, 8 * 10**10):
        taken = work.replica(1, overhead_of(device()), capacity)
        assert work.need(taken, overhead_of(device())).total_bytes <= capacity
        larger = Replica(2 * taken.micro_batch_size, 2 * taken.micro_batch_size < 1024, 1)
        if taken.micro_batch_size < 1024:
            assert work.need(larger, overhead_of(device())).total_bytes > capacity


def test_a_micro_batch_that_is_asked_for_is_kept():
    run = TrainingRun(profile(), steps=1, global_batch_size=64, micro_batch_size=4)
    row = estimate(run, device(), database=database([device()], [offer()]))
    assert (row.micro_batch_size, row.gradient_accumulation_steps) == (4, 16)


@pytest.fixture
def full():
    devices = [device("tiny", memory_bytes=540_000_000), device("roomy", memory_bytes=10**9), device("vast")]
    run = TrainingRun(profile(), steps=1)
    offers = [offer("tiny"), offer("roomy", usd=3.0), offer("vast", usd=9.0)]
    return estimate_all(run, database=database(devices, offers))


def test_a_device_too_small_is_listed_with_what_would_do(full):
    row = next(row for row in full if row.device.id == "tiny")
    assert row.fits is False and row.run_time_s is None and row.cost_usd is None
    assert row.why_not_kind == "memory"
    first, second = row.why_not.splitlines()
    assert first.startswith("needs 0.516 GiB a device, tiny has 0.503 GiB: 0.419 GiB context, ")
    assert "0.0391 GiB optimizer" in first and "0.0195 GiB parameters" in first and "0.0195 GiB gradients" in first
    assert second == "Would fit: roomy (0.931 GiB) · vast (74.5 GiB)"


def test_devices_that_fit_come_first(full):
    assert [row.device.id for row in full] == ["roomy", "vast", "tiny"]
    assert [row.device.id for row in full.answered] == ["roomy", "vast"]


def test_checkpointing_is_named_where_activations_are_the_problem():
    run = TrainingRun(profile(), steps=1, global_batch_size=64, micro_batch_size=64, sequence_length=1024)
    offers = [offer(), offer("vast")]
    row = estimate(run, device(memory_bytes=10**9), database=database([device("vast")], offers))
    assert "less activations (they hold 1.25 GiB): activation checkpointing · vast (74.5 GiB)" in row.why_not


def test_checkpointing_is_not_named_where_the_state_alone_is_too_large(full):
    assert "checkpointing" not in next(row for row in full if row.device.id == "tiny").why_not


def test_an_unknown_capacity_is_neither_fit_nor_not():
    run = TrainingRun(profile(), steps=1)
    row = estimate(run, device(memory_bytes=None), database=database([device()], [offer()]))
    assert row.fits is None and row.memory_bytes is None and row.run_time_s > 0
    # The largest that eight GiB hold: the whole batch.
    assert row.micro_batch_size == 256 and row.peak_memory_bytes < 8 * 2**30


def test_two_dies_in_a_package_are_two_replicas_with_half_the_memory():
    run = TrainingRun(profile(), steps=1, global_batch_size=8)
    package = device("pair", logical_devices=2)
    row = estimate(run, package, database=database([package], []))
    assert row.answer.replica.replicas == 2 and row.memory_bytes == 40_000_000_000
    assert row.count == 1 and row.answer.group.size == 2
