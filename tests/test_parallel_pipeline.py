"""Pipelines by events: equal to closed forms where those are known, sane everywhere else."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from estimator.parallel.pipeline import (
    BACKWARD,
    FORWARD,
    ROUNDS,
    WEIGHTS,
    StageTimes,
    _period_s,
    _simulated,
    even_pipeline_s,
    in_flight,
    order_of,
    pipeline_s,
)
from hardware_db.errors import UsageError


def even(stages, chunks, forward, backward, weights=0.0, message=0.0):
    shape = (stages, chunks, 1)
    return StageTimes(
        np.full(shape, forward / chunks),
        np.full(shape, backward / chunks),
        np.full(shape, weights / chunks),
        np.array([message]),
    )


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
@pytest.mark.parametrize(("stages", "micro_batches"), [(1, 5), (2, 1), (4, 4), (4, 9), (8, 3), (8, 100)])
def test_gpipe_and_1f1b_take_as_long_as_the_closed_form(schedule, stages, micro_batches):
    seconds = pipeline_s(even(stages, 1, 1.0, 2.0), micro_batches, schedule).max()
    assert seconds == pytest.approx(even_pipeline_s((1.0, 2.0, 0.0), micro_batches, (stages, 1, schedule)))
    assert seconds == pytest.approx((micro_batches + stages - 1) * 3.0)


@pytest.mark.parametrize(("stages", "chunks", "rounds"), [(2, 2, 1), (4, 2, 2), (4, 5, 8), (8, 3, 4)])
def test_interleaving_divides_the_bubble_by_the_chunks(stages, chunks, rounds):
    micro_batches = rounds * stages
    seconds = pipeline_s(even(stages, chunks, 1.0, 2.0), micro_batches, "interleaved").max()
    assert seconds == pytest.approx(3.0 * micro_batches + (stages - 1) * 3.0 / chunks)
    assert seconds == pytest.approx(even_pipeline_s((1.0, 2.0, 0.0), micro_batches, (stages, chunks, "interleaved")))


@pytest.mark.parametrize(("stages", "micro_batches"), [(2, 4), (4, 8), (8, 16), (8, 64)])
def test_zero_bubble_leaves_a_third_of_the_bubble_where_all_passes_are_equal(stages, micro_batches):
    """Qi et al., 2023: (p - 1)(F + B - W) of ZB-H1 against (p - 1)(F + B + W) of 1F1B."""
    seconds = pipeline_s(even(stages, 1, 1.0, 1.0, 1.0), micro_batches, "zero_bubble").max()
    assert seconds == pytest.approx(3.0 * micro_batches + (stages - 1) * 1.0)
    assert seconds == pytest.approx(even_pipeline_s((1.0, 1.0, 1.0), micro_batches, (stages, 1, "zero_bubble")))


@given(
    stages=st.integers(1, 5),
    chunks=st.integers(1, 3),
    micro_batches=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=30, deadline=None)
def test_no_pipeline_is_faster_than_its_slowest_stage_or_one_micro_batch(stages, chunks, micro_batches, seed):
    times = np.random.default_rng(seed)
    forward, backward = times.uniform(0.1, 2.0, (2, stages, chunks, 1))
    message = times.uniform(0.0, 0.2, 1)
    schedule = "interleaved" if chunks > 1 else "1f1b"
    micro_batches *= stages if chunks > 1 else 1
    passes = StageTimes(forward, backward, np.zeros_like(forward), message)
    seconds = pipeline_s(passes, micro_batches, schedule).max()
    work = (forward + backward).sum(axis=1) * micro_batches
    path = (forward + backward).sum() + 2 * (stages * chunks - 1) * message[0] * (stages > 1)
    assert seconds >= work.max() - 1e-9
    assert seconds >= path - 1e-9
    assert seconds <= work.sum() + 2 * (stages * chunks - 1) * message[0] * micro_batches + 1e-9


@given(
    stages=st.integers(1, 6),
    extra=st.integers(0, 5),
    seed=st.integers(0, 2**16),
    schedule=st.sampled_from(["1f1b", "interleaved", "zero_bubble", "gpipe"]),
)
@example(stages=6, extra=0, seed=43727, schedule="1f1b")
@example(stages=6, extra=0, seed=241, schedule="1f1b")
@settings(max_examples=25, deadline=None)
def test_long_pipelines_are_continued_exactly(stages, extra, seed, schedule):
    """Rounds are left out only where the pipeline repeats itself: simulating every micro-batch gives the same."""
    times = np.random.default_rng(seed)
    shape = (stages, 2 if schedule == "interleaved" else 1, 2)
    forward, backward, weights = times.uniform(0.5, 1.5, (3, *shape))
    weights = weights if schedule == "zero_bubble" else np.zeros_like(forward)
    passes = StageTimes(forward, backward, weights, np.array([0.01, 0.1]))
    micro_batches = 21 * stages + (0 if schedule == "interleaved" else extra)
    whole, _, _ = _simulated(passes, micro_batches, schedule)
    assert pipeline_s(passes, micro_batches, schedule) == pytest.approx(whole, rel=1e-6)


def test_pipelines_of_equal_stages_settle_early_enough_to_skip_most_rounds():
    passes = even(8, 2, 1.0, 2.0)
    _, ends, graph = _simulated(passes, ROUNDS * 8, "interleaved")
    assert _period_s(ends, graph, ROUNDS) == pytest.approx(8 * 3.0)
    assert pipeline_s(passes, 8_000, "interleaved").max() == pytest.approx(3.0 * 8_000 + 7 * 3.0 / 2)


def test_interleaving_refuses_an_incomplete_round():
    with pytest.raises(UsageError, match="multiples of pipeline_parallel 4; given: 6"):
        pipeline_s(even(4, 2, 1.0, 2.0), 6, "interleaved")


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "interleaved", "zero_bubble"])
def test_every_stage_runs_every_pass_once_and_in_a_possible_order(schedule):
    stages, chunks, micro_batches = 4, 2 if schedule == "interleaved" else 1, 6
    for stage in range(stages):
        order = order_of(schedule, (stages, chunks, micro_batches), stage)
        kinds = (FORWARD, BACKWARD, WEIGHTS) if schedule == "zero_bubble" else (FORWARD, BACKWARD)
        assert len(order) == len(set(order)) == len(kinds) * chunks * micro_batches
        for chunk in range(chunks):
            for batch in range(micro_batches):
                places = [order.index((kind, chunk, batch)) for kind in kinds]
                assert places == sorted(places)


@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "zero_bubble"])
def test_no_more_micro_batches_are_alive_than_in_flight_says(schedule):
    sizes = (4, 3 if schedule == "interleaved" else 1, 8)
    for stage in range(4):
        alive = most = 0
        for kind, _, _ in order_of(schedule, sizes, stage):
            alive += {FORWARD: 1, BACKWARD: -1}.get(kind, 0)
            most = max(most, alive)
        assert most == in_flight(sizes, stage)


def test_messages_delay_the_stages_that_wait_for_them():
    quick = pipeline_s(even(4, 1, 1.0, 2.0), 8, "1f1b").max()
    slow = pipeline_s(even(4, 1, 1.0, 2.0, message=0.1), 8, "1f1b").max()
    assert slow >= quick + 6 * 0.1 - 1e-9
