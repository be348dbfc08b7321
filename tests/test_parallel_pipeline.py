"""Pipelines by events: equal to closed forms where those are known, sane everywhere else."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from estimator.parallel import pipeline
from estimator.parallel.pipeline import (
    BACKWARD,
    FORWARD,
    ROUNDS,
    WEIGHTS,
    StageTimes,
    _period_s,
    _simulated,
    even_pipeline_s,
    graph_of,
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


def test_the_middle_of_three_values_is_the_second():
    passes = StageTimes(*(np.arange(6.0).reshape(2, 1, 3) + each for each in (0, 10, 20)), np.array([1.0, 2.0, 3.0]))
    middle = passes.middle
    assert middle.forward.tolist() == [[[1.0]], [[4.0]]] and middle.backward.tolist() == [[[11.0]], [[14.0]]]
    assert middle.weights.tolist() == [[[21.0]], [[24.0]]] and middle.message.tolist() == [2.0]


@pytest.mark.parametrize(("schedule", "chunks"), [("1f1b", 1), ("interleaved", 2), ("zero_bubble", 1)])
def test_passes_of_a_round_stand_beside_those_of_the_round_before(schedule, chunks):
    graph = graph_of(schedule, (3, chunks, 12))
    now, before = graph.repeats(2, 3)
    assert (graph.tasks[now][:, :3] == graph.tasks[before][:, :3]).all()
    assert (graph.tasks[now][:, 3] == graph.tasks[before][:, 3] + 3).all()
    # Micro-batches 6, 7 and 8 on three stages, forward and backward (and for the weights) through each chunk.
    assert len(now) == 3 * 3 * chunks * (3 if schedule == "zero_bubble" else 2)
    assert set(graph.tasks[now][:, 3]) == {6, 7, 8}


def test_the_passes_of_1f1b_on_three_stages_by_hand():
    """Stage 0 runs three forward passes ahead, stage 1 two, stage 2 one; then they alternate until all are done."""
    orders = [
        "".join(f"{'FB'[kind]}{batch}" for kind, _, batch in order_of("1f1b", (3, 1, 4), stage)) for stage in range(3)
    ]
    assert orders == ["F0F1F2B0F3B1B2B3", "F0F1B0F2B1F3B2B3", "F0B0F1B1F2B2F3B3"]


def test_the_passes_of_interleaved_stages_by_hand():
    """Megatron-LM runs 2 (p - stage - 1) + (v - 1) p chunks ahead: with two stages and chunks four, and two."""
    orders = [
        " ".join(f"{'FB'[kind]}{chunk}{batch}" for kind, chunk, batch in order_of("interleaved", (2, 2, 2), stage))
        for stage in range(2)
    ]
    assert orders == ["F00 F01 F10 F11 B10 B11 B00 B01", "F00 F01 F10 B10 F11 B11 B00 B01"]


def test_unequal_stages_by_hand():
    """Two stages, two micro-batches of 1F1B; passes of 1 and 2 s, 3 and 4 s, messages of 0.5 s.

    Stage 0: F0 0-1, F1 1-2. Stage 1: F0 1.5-4.5, B0 4.5-8.5, F1 8.5-11.5, B1 11.5-15.5. Stage 0: B0 9-11, B1 16-18.
    """
    passes = StageTimes(
        np.array([[[1.0]], [[3.0]]]), np.array([[[2.0]], [[4.0]]]), np.zeros((2, 1, 1)), np.array([0.5])
    )
    assert pipeline_s(passes, 2, "1f1b").ravel().tolist() == [18.0, 15.5]


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "zero_bubble"])
def test_fewer_micro_batches_than_stages_run_every_pass_too(schedule):
    for stage in range(4):
        order = order_of(schedule, (4, 1, 2), stage)
        assert len(set(order)) == len(order) == 2 * (3 if schedule == "zero_bubble" else 2)


def test_an_impossible_order_is_no_endless_loop(monkeypatch):
    monkeypatch.setattr(pipeline, "order_of", lambda *_: ((BACKWARD, 0, 0), (FORWARD, 0, 0)))
    with pytest.raises(RuntimeError, match="wait for each other"):
        graph_of.__wrapped__("1f1b", (2, 1, 1))
