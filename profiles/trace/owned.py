"""Numbers of parameters, by the module that owns them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from profiles.layers import layer_count
from profiles.trace.packed import packed_by_module


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters that modules own themselves, tied ones once, packed ones too: all, and those trained.

    A path may stand for several equal layers; the number is that of one of them.
    """

    by_module: dict[str, int]
    trained_by_module: dict[str, int]

    @classmethod
    def of(cls, model: torch.nn.Module) -> Parameters:
        """Count those of a model."""
        owned: Counter[str] = Counter()
        trained: Counter[str] = Counter()
        for name, parameter in model.named_parameters(remove_duplicate=True):
            module = name.rpartition(".")[0]
            owned[module] += parameter.numel()
            trained[module] += parameter.numel() if parameter.requires_grad else 0
        for module, tensors in packed_by_module(model).items():
            owned[module] += sum(tensor.numel() for tensor in tensors)
        return cls(dict(owned), dict(trained))

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(layer_count(path) * number for path, number in self.by_module.items())

    @property
    def trainable(self) -> int:
        """Those that are trained."""
        return sum(layer_count(path) * number for path, number in self.trained_by_module.items())
