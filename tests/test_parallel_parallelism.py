"""Degrees that fit together, and messages where they do not; layers dealt to stages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.parallel.parallelism import Parallelism
from estimator.parallel.stages import balanced
from hardware_db.errors import UsageError


def test_devices_are_the_product_of_the_degrees_that_take_some():
    split = Parallelism(data_parallel=8, tensor_parallel=4, pipeline_parallel=2, context_parallel=2, expert_parallel=16)
    assert split.devices == 128
    assert split.model_devices == 16
    assert split.sharers == split.shards == 16


def test_experts_are_spread_over_tensor_parallel_devices_only_where_they_must():
    split = Parallelism(data_parallel=4, tensor_parallel=2, expert_parallel=4)
    assert (split.expert_tensor_parallel, split.expert_replicas) == (2, 1)
    folded = Parallelism(data_parallel=4, tensor_parallel=2, expert_parallel=8)
    assert (folded.expert_tensor_parallel, folded.expert_replicas) == (1, 1)
    copies = Parallelism(data_parallel=8, tensor_parallel=2, expert_parallel=4)
    assert (copies.expert_tensor_parallel, copies.expert_replicas) == (2, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data_parallel": 0}, "data_parallel must be a positive whole number; given: 0"),
        ({"tensor_parallel": 2.0}, "tensor_parallel must be a positive whole number"),
        ({"schedule": "magic"}, "schedule 'magic' is unknown. Use one of: gpipe, 1f1b, interleaved, zero_bubble"),
        ({"zero_stage": 4}, "zero_stage 4 is unknown"),
        ({"activation_checkpointing": "some"}, "Use one of: none, selective, full"),
        ({"virtual_pipeline": 2}, "virtual_pipeline 2 needs pipeline_parallel above 1 and schedule interleaved"),
        (
            {"data_parallel": 2, "expert_parallel": 4},
            "expert_parallel 4 must divide data × context × tensor",
        ),
        ({"sequence_parallel": True}, "tensor_parallel is 1"),
        ({"data_parallel": 4, "sharding_group": 3}, "sharding_group 3 must divide"),
    ],
)
def test_contradictions_are_named(fields, message):
    with pytest.raises(UsageError, match=message.replace("×", ".")):
        Parallelism(**fields)


def test_batches_that_leave_a_remainder_name_the_nearest_that_does_not():
    split = Parallelism(data_parallel=8)
    assert split.micro_batches(64, 4) == 2
    with pytest.raises(UsageError, match=r"batch size 100 over 8 replicas × micro-batch 4 leaves a remainder. .* 96"):
        split.micro_batches(100, 4)
    with pytest.raises(UsageError, match="Nearest: 32"):
        split.micro_batches(5, 4)


def test_a_split_is_told_in_short():
    split = Parallelism(data_parallel=2, tensor_parallel=4, zero_stage=1, sequence_parallel=True)
    assert str(split) == "DP 2 · TP 4 · ZeRO 1 · sequence parallel"
    assert str(Parallelism()) == "one device"


@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=9), st.integers(1, 9))
def test_layers_are_dealt_so_that_the_slowest_stage_is_fastest(seconds, count):
    """Against trying every way to cut the list."""
    values = np.array(seconds)
    count = min(count, len(values))
    owners = balanced(values, count)
    assert owners.tolist() == sorted(owners.tolist())
    assert set(owners.tolist()) == set(range(count))
    slowest = max(values[owners == chunk].sum() for chunk in range(count))
    assert slowest == pytest.approx(best_cut(seconds, count), rel=1e-6)


def best_cut(seconds, count):
    if count == 1:
        return sum(seconds)
    starts = range(1, len(seconds) - count + 2)
    return min(max(sum(seconds[:at]), best_cut(seconds[at:], count - 1)) for at in starts)
