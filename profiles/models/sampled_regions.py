"""How many regions torchvision's detectors train on, where nobody knows which ones: as many as they sample at most.

In training the detectors of the R-CNN family sample a fixed number of regions an image, of which a fixed share at most
may show an object (`batch_size_per_image`, `positive_fraction` of torchvision.models.detection). On symbolic tensors no
overlap is known; both numbers are then taken to be reached, as they are once a detector finds anything.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

Tensor = torch.Tensor


def sample_at_most() -> None:
    """Let the sampler and the heads of torchvision's detectors take these numbers on symbolic tensors, for good."""
    sampler: Any = importlib.import_module("torchvision.models.detection._utils").BalancedPositiveNegativeSampler
    heads: Any = importlib.import_module("torchvision.models.detection.roi_heads").RoIHeads
    sample, select = sampler.__call__, heads.select_training_samples

    def sample_symbolic(self: Any, matched: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        if not matched or not matched[0].is_meta:
            found: tuple[list[Tensor], list[Tensor]] = sample(self, matched)
            return found
        masks = [_masks(self, each) for each in matched]
        return [positive for positive, _ in masks], [negative for _, negative in masks]

    def select_symbolic(self: Any, proposals: list[Tensor], targets: Any) -> Any:
        chosen, matched, labels, regression = select(self, proposals, targets)
        if labels and labels[0].is_meta:
            labels = [_labels(self.fg_bg_sampler, each) for each in labels]
        return chosen, matched, labels, regression

    sampler.__call__, heads.select_training_samples = sample_symbolic, select_symbolic


def _positives(sampler: Any) -> int:
    return int(sampler.batch_size_per_image * sampler.positive_fraction)


def _masks(sampler: Any, matched: Tensor) -> tuple[Tensor, Tensor]:
    """The first regions show objects, those after them do not; the rest is left out."""
    place = torch.arange(matched.numel(), device=matched.device)
    positive, sampled = place < _positives(sampler), place < sampler.batch_size_per_image
    return positive.to(torch.uint8), (sampled & ~positive).to(torch.uint8)


def _labels(sampler: Any, labels: Tensor) -> Tensor:
    """Classes of the sampled regions: some object, or none (0)."""
    place = torch.arange(labels.numel(), device=labels.device)
    return (place < _positives(sampler)).to(labels.dtype)
