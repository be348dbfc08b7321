"""One profile answers every image size that its strides divide: to the last FLOP and byte, parameters included."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from hardware_db.errors import DataError, UsageError
from profiles import library
from profiles.definitions import profile_definition
from profiles.image_growth import with_image_sizes
from profiles.model_profile import ModelProfile
from profiles.models import resolve
from profiles.profiling import profile_of
from profiles.request import ProfileRequest
from profiles.trace.settings import StepSettings
from profiles.trace_record import fold
from profiles.tracers import start

FIGURES = (
    "flops",
    "matmul_flops",
    "model_flops",
    "executed_flops",
    "bytes_moved",
    "memory",
    "parameters",
    "trainable_parameters",
    "module_parameters",
)


@cache
def shipped(model: str, precision: str) -> ModelProfile:
    found = library._shipped(library.Question(model, "train", precision, "adamw", "cuda"))
    assert found is not None
    return found


def traced(model: str, precision: str, batch: int, side: int) -> ModelProfile:
    """The same model, traced at this size alone."""
    definition, settings = resolve(model).for_images(side), StepSettings("train", precision, "adamw", "cuda")
    _, first = start(definition, settings, definition.sizes(batch, None, side))
    return profile_of(model, settings, first, fold(first.trace.raw(batch, None)))


def said(profile: ModelProfile) -> tuple[Any, ...]:
    operations = sorted(map(repr, profile.operations))
    return tuple(getattr(profile, name) for name in FIGURES), operations, profile.trace.activation_bytes


@pytest.mark.parametrize(
    ("model", "precision", "batch", "side"),
    [
        ("resnet50", "float32", 3, 288),
        ("resnet18", "amp_bfloat16", 1, 160),
        ("vit-b-16", "float32", 3, 272),
        ("vit-b-16", "float32", 1, 384),
        ("vit-b-16", "amp_bfloat16", 2, 240),
    ],
)
def test_another_image_size_is_what_a_trace_there_shows(model: str, precision: str, batch: int, side: int) -> None:
    assert said(shipped(model, precision).at(batch, None, side)) == said(traced(model, precision, batch, side))


@pytest.mark.parametrize(("model", "batch", "side"), [("timm:test_resnet", 3, 288), ("timm:test_vit", 1, 192)])
def test_models_of_packages_answer_other_sizes_from_one_recording(model: str, batch: int, side: int) -> None:
    """Nobody says of what size their images are: they are asked."""
    definition = resolve(model)
    assert definition.image_size is None
    own = profile_definition(definition)
    assert own.image_size == 160
    whole = with_image_sizes(own, definition)
    assert said(whole.at(batch, None, side)) == said(traced(model, "float32", batch, side))


def test_its_own_image_size_comes_back() -> None:
    profile = shipped("resnet50", "float32")
    there = profile.at(image_size=288)
    assert there.image_size == 288 and there.flops.total > profile.flops.total
    assert said(there.at(image_size=224)) == said(profile)


def test_parameters_of_a_transformer_grow_with_its_positions() -> None:
    """One position of 768 numbers for each patch of 16 pixels: 24 x 24 against 14 x 14."""
    profile = shipped("vit-b-16", "float32")
    assert profile.at(image_size=384).parameters - profile.parameters == (24**2 - 14**2) * 768


def test_sizes_for_which_nothing_is_proven_are_refused() -> None:
    profile = shipped("resnet50", "float32")
    for side in (225, 240, 32):
        with pytest.raises(UsageError, match=f"multiples of 32 from 64 up pixels.*{side}.*--image-size {side}"):
            profile.at(image_size=side)
    with pytest.raises(UsageError, match="takes no images of variable size"):
        shipped("gpt2", "float32").at(image_size=64)


def test_a_profile_for_all_image_sizes_survives_a_file() -> None:
    profile = shipped("vit-b-16", "float32")
    moved = ModelProfile.from_json(profile.at(1, None, 320).to_json())
    assert moved == profile.at(1, None, 320)
    assert moved.at(5, None, 480) == profile.at(5, None, 480)


def test_a_file_without_images_holds_for_its_own_size() -> None:
    document = json.loads(shipped("resnet18", "float32").to_json())
    del document["images"]
    old = ModelProfile.from_json(json.dumps(document))
    assert old.at(image_size=224) == old
    with pytest.raises(UsageError, match="recorded with --image-size 224 alone"):
        old.at(image_size=256)


@pytest.mark.parametrize("key", ["modules", "recordings", "patches"])
def test_images_that_contradict_themselves_are_refused(key: str) -> None:
    document = json.loads(shipped("resnet18", "float32").to_json())
    images = document["images"]
    broken = {
        "modules": [*images["modules"], "more"],
        "recordings": images["recordings"][::-1],
        "patches": images["parameters"],
    }
    images[key] = broken[key]
    with pytest.raises(DataError, match="images need"):
        ModelProfile.from_json(json.dumps(document))


def test_a_model_of_fixed_images_stays_as_it_is() -> None:
    definition = resolve("mnist-cnn")
    assert not definition.takes_images
    request = ProfileRequest()
    plain = profile_definition(definition, request)
    assert with_image_sizes(plain, definition, request) is plain
