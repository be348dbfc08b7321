"""Detectors whose regions depend on values are counted with as many regions as they take at most."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.definitions import ProfileRequest, profile_definition
from profiles.models import resolve

pytest.importorskip("torchvision")

BATCH, SAMPLED = 2, 32
"""Images, and regions of each that the R-CNN is trained on (512 if not said)."""


def rows(mode: Any) -> dict[str, int]:
    """Rows of the products of each layer of the heads."""
    options = f"min_size=64,max_size=64,box_batch_size_per_image={SAMPLED}"
    definition = resolve(f"torchvision:fasterrcnn_mobilenet_v3_large_320_fpn,{options}")
    profile = profile_definition(definition, ProfileRequest(mode=mode, batch_size=BATCH))
    assert any("guessed" in note and "sizes at most" in note for note in profile.notes)
    found = [o for o in profile.operations if o.phase == "forward" and o.family == "matmul"]
    return {o.module: dict(o.dims)["m"] for o in found if o.module.startswith("roi_heads")}


def test_a_detector_is_trained_on_the_regions_that_it_samples() -> None:
    assert set(rows("train").values()) == {BATCH * SAMPLED}


def test_the_sampled_regions_are_known_by_number_and_by_class() -> None:
    import torch
    from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

    from profiles.models.sampled_regions import _labels, _masks

    sampler = BalancedPositiveNegativeSampler(8, 0.25)
    positive, negative = _masks(sampler, torch.zeros(20))
    assert (int(positive.sum()), int(negative.sum()), int((positive & negative).sum())) == (2, 6, 0)
    assert _labels(sampler, torch.zeros(8, dtype=torch.int64)).tolist() == [1, 1] + 6 * [0]
