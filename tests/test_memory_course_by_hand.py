"""What a device holds moment by moment of a step of four moments, in figures small enough to add up by hand."""

from dataclasses import MISSING, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import PARAMETERS, POINTS, profile, raw_trace

from estimator.memory import MemorySettings
from estimator.memory.holding import Held, _with_last, course_of, held_at_peak
from estimator.memory.moments import ACTIVATION, BACKWARD, FORWARD, GRADIENT, INPUT, OPTIMIZER, Moments, Outline
from estimator.memory.need import MemoryNeed
from profiles.library import Question, find
from profiles.trace_record import RawTrace, fit_growth

ROW = 2 * 8 * 16 * 1024
"""Bytes of the 128 tokens of a layer; ten layers are alive after the forward pass, five in the backward pass."""
WEIGHTS = (("h.[0-9]", PARAMETERS),)


@pytest.fixture(scope="module")
def step():
    return profile(module_parameters=WEIGHTS).at(8, 16)


@pytest.fixture(scope="module")
def allocating():
    """The same step whose optimizer allocates a byte for each parameter."""
    raws = []
    for size in POINTS:
        raw = raw_trace(*size)
        last = replace(raw.timeline[-1], activation_bytes=PARAMETERS)
        raws.append(RawTrace(raw.operations, [*raw.timeline[:-1], last], raw.batch_size, raw.sequence_length))
    return profile(module_parameters=WEIGHTS, trace=fit_growth(raws)).at(8, 16)


def course(step, **settings):
    return course_of(step, MemorySettings(**settings)).tolist()


def test_a_course_is_gradients_and_activations(step):
    assert course(step) == [0, 10 * ROW, PARAMETERS + 5 * ROW, 2 * PARAMETERS]
    assert course(step, optimizer_in_backward=True) == [0, 10 * ROW, 5 * ROW, 0]
    assert course(step, accumulates=True) == [2 * PARAMETERS + each for each in (0, 10 * ROW, 5 * ROW, 0)]


def test_divided_gradients_are_whole_for_two_layers(step):
    """Half of the gradients are there in the backward pass, a half of them here, and two of ten layers whole."""
    found = course(step, replicas=2, zero_stage=2)
    backward = PARAMETERS / 2 + 2 * 2 * PARAMETERS / 10 + 5 * ROW
    assert found == pytest.approx([0, 10 * ROW, backward, PARAMETERS])


def test_temporaries_of_the_optimizer_are_divided_with_its_states(allocating):
    """What the step allocates besides what was alive before."""
    before, own = 5 * ROW, PARAMETERS - 5 * ROW
    assert course(allocating)[-1] == 2 * PARAMETERS + before + own
    assert course(allocating, replicas=4, zero_stage=1)[-1] == 2 * PARAMETERS + before + own / 4
    assert course(allocating, offloaded=("optimizer",))[-1] == 2 * PARAMETERS + before
    assert course(allocating, optimizer_in_backward=True)[-1] == before


def test_what_more_layers_add(monkeypatch, allocating):
    """Two layers more of ten, of each 40 bytes kept: 1.2 times the parameters and what the optimizer allocates."""
    monkeypatch.setattr("estimator.memory.holding.kept_by_stack", lambda *_: np.array([0.0, 400.0, 200.0, 0.0]))
    monkeypatch.setattr("estimator.memory.holding.layers_of", lambda _: 10)
    own = PARAMETERS - 5 * ROW
    assert course(allocating, more_layers=2) == pytest.approx(
        [0, 10 * ROW + 80, 1.2 * PARAMETERS + 5 * ROW + 40, 2.4 * PARAMETERS + 5 * ROW + 1.2 * own]
    )
    held = held_at_peak(allocating, MemorySettings(more_layers=2))
    assert held.gradient_bytes == pytest.approx(2.4 * PARAMETERS, abs=1)
    assert held.parameter_bytes == pytest.approx(2.4 * PARAMETERS, abs=1)


@pytest.mark.parametrize("moments", [3, 4])
def test_a_fused_attention_keeps_no_squares(monkeypatch, step, moments):
    squares = np.array([0.0, 100.0, 50.0, 0.0])[:moments]
    monkeypatch.setattr("estimator.memory.holding.squared_activations", lambda _: squares)
    assert course(step, fused_attention=True) == [0, 10 * ROW - 100, PARAMETERS + 5 * ROW - 50, 2 * PARAMETERS]


def test_what_is_freed_is_told_all_that_is_alive(monkeypatch, step):
    freed = SimpleNamespace()
    monkeypatch.setattr(
        "estimator.memory.holding.freed_by", lambda _, __, live: freed.__dict__.update(activations=live / 4) or freed
    )
    whole = np.array([0, 10 * ROW, PARAMETERS + 5 * ROW, 2 * PARAMETERS])
    assert course(step, checkpointing="full") == (whole * 0.75).tolist()


def moments(phases, gradients, activations):
    live = np.zeros((len(phases), 6), dtype=np.int64)
    live[:, GRADIENT], live[:, ACTIVATION], live[:, INPUT] = gradients, activations, range(1, len(phases) + 1)
    return Moments(Outline(np.zeros((len(phases), 6), dtype=np.intp), np.array(phases), ("a",) * len(phases)), live)


@pytest.mark.parametrize(
    ("made", "gradients", "activations"),
    # Of 90 gradients and 30 activations in the end some of those are gradients; no more than what was alive least.
    [(100, 100, 20), (80, 90, 30), (85, 90, 30), (130, 130, 0)],
)
def test_the_moment_of_a_step_that_allocates_nothing(made, gradients, activations):
    found = _with_last(moments([FORWARD, BACKWARD, BACKWARD], [0, 60, 90], [10, 50, 30]), made)
    assert found.outline.phases.tolist() == [FORWARD, BACKWARD, BACKWARD, OPTIMIZER]
    assert found.live[:, GRADIENT].tolist() == [0, 60, 90, gradients]
    assert found.live[:, ACTIVATION].tolist() == [10, 50, 30, activations]
    assert found.live[:, INPUT].tolist() == [1, 2, 3, 3]


def test_less_was_alive_at_another_moment_of_the_backward_pass():
    found = _with_last(moments([FORWARD, BACKWARD, BACKWARD], [0, 60, 90], [1, 7, 30]), 90)
    assert found.live[-1, ACTIVATION] == 7


@pytest.mark.parametrize("phases", [[FORWARD, FORWARD], [BACKWARD, OPTIMIZER]])
def test_nothing_is_added_to_a_recorded_step_or_a_forward_pass(phases):
    given = moments(phases, [0, 60], [10, 50])
    assert _with_last(given, 100) is given


def test_what_is_not_said_is_not_held():
    for record in (Held, MemoryNeed):
        defaults = {each.name: each.default for each in fields(record) if each.default is not MISSING}
        assert {name: value for name, value in defaults.items() if name.endswith("_bytes") and value} == {}
    assert MemorySettings().zero_stage == 0 and MemorySettings().replicas == 1


def test_two_devices_have_buckets_and_talk(step):
    alone, both, divided = (
        held_at_peak(step, MemorySettings(replicas=number, zero_stage=stage))
        for number, stage in ((1, 0), (2, 0), (2, 2))
    )
    assert (alone.bucket_bytes, both.bucket_bytes, divided.bucket_bytes) == (0, 2 * PARAMETERS, 0)
    assert not alone.communicates and both.communicates and alone.host_bytes == 0


def test_copies_in_8_bits_are_divided_and_grow(monkeypatch, step):
    monkeypatch.setattr("estimator.memory.holding.eight_bit_bytes", lambda _: 800)
    assert held_at_peak(step, MemorySettings(replicas=8, zero_stage=2)).copy_bytes == 800
    assert held_at_peak(step, MemorySettings(replicas=8, zero_stage=3)).copy_bytes == 100
    monkeypatch.setattr("estimator.memory.holding.kept_by_stack", lambda _, moments: np.zeros(moments))
    assert held_at_peak(step, MemorySettings(more_layers=10)).copy_bytes == 1600


def test_inputs_and_buffers_stay():
    recorded = find(Question("resnet50", "train", "float32", "adamw", "cuda"))
    held = held_at_peak(recorded, MemorySettings())
    assert recorded.memory.buffer_bytes > 0
    assert held.input_and_buffer_bytes == recorded.memory.input_bytes + recorded.memory.buffer_bytes
