"""The profiles that ship with flopcast: complete, and equal to what a fresh trace says."""

from __future__ import annotations

import dataclasses

import pytest

from profiles import library
from profiles.model_profile import ModelProfile
from profiles.recording import INFERENCE, MODELS, questions

FRESHLY_TRACED = ("mnist-cnn", "cifar10-resnet20", "gpt2")


def test_every_question_has_its_shipped_profile():
    assert set(library.shipped_questions()) == set(questions())


def test_shipped_profiles_answer_any_batch():
    for question in questions():
        profile = library.find(question, batch_size=6)
        assert profile is not None and profile.batch_size == 6, question


def undated(profile: ModelProfile) -> tuple[ModelProfile, list[tuple[int, int]]]:
    """What a profile says, and of which sizes; versions and the sizes that were traced say how it was made."""
    recordings = (profile.trace.recording, profile.trace.single)
    plain, single = (each and dataclasses.replace(each, runs=()) for each in recordings)
    trace = dataclasses.replace(profile.trace, recording=plain, single=single)
    multiples = [(each.batch_multiple, each.sequence_multiple) for each in recordings if each is not None]
    return dataclasses.replace(profile, versions=(), trace=trace, images=None), multiples


def traced(model: str, precision: str) -> ModelProfile:
    pytest.importorskip("torch")
    from profiles.definitions import profile_definition
    from profiles.models import resolve
    from profiles.request import ProfileRequest

    return profile_definition(resolve(model), ProfileRequest(precision=precision))


def held(model: str, precision: str, mode: str = "train") -> ModelProfile:
    asked = next(each for each in questions() if (each.model, each.precision, each.mode) == (model, precision, mode))
    found = library.find(asked)
    assert found is not None
    return found


@pytest.mark.parametrize("model", FRESHLY_TRACED)
def test_shipped_profile_equals_a_fresh_trace(model):
    assert undated(held(model, "amp_bfloat16")) == undated(traced(model, "amp_bfloat16"))


def test_mixed_float16_makes_the_same_calls_as_mixed_bfloat16():
    assert undated(held("mnist-cnn", "amp_float16")) == undated(traced("mnist-cnn", "amp_float16"))
    assert undated(held("imdb-lstm", "amp_float16")) == undated(traced("imdb-lstm", "amp_float16"))


def test_forward_passes_are_recorded_for_those_that_write():
    from profiles.definitions import profile_definition
    from profiles.models import resolve
    from profiles.request import ProfileRequest

    for precision in INFERENCE:
        request = ProfileRequest(mode="forward", precision=precision)
        assert undated(held("gpt2", precision, "forward")) == undated(profile_definition(resolve("gpt2"), request))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_all_shipped_profiles_equal_a_fresh_trace(model):
    assert undated(held(model, "float32")) == undated(traced(model, "float32"))
