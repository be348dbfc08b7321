"""The network that stands for a model of which only sizes are known: layers of products that meet every parameter once.

Its step takes 6 FLOPs per active parameter and token (Kaplan et al. 2020, arXiv 2001.08361, section 2.1) and, where
layers and hidden size are given, 12 x layers x hidden x sequence for attention (Chowdhery et al. 2022, arXiv
2204.02311, appendix B).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Width of a layer where none is given: 12 x width^2 parameters in each of width / 128 layers (Kaplan et al. 2020,
# section 3.1: the ratio hardly matters).
ASPECT = 128
PARAMETERS_PER_LAYER = 12
HEAD_SIZE = 128


class Layer(nn.Module):
    """Projections of attention (4 x hidden^2), attention if asked for, and an MLP (8 x hidden^2), without biases."""

    def __init__(self, hidden: int, attention: bool) -> None:
        super().__init__()
        self.attention, self.heads = attention, hidden // HEAD_SIZE if hidden % HEAD_SIZE == 0 else 1
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden, bias=False), nn.Linear(hidden, hidden, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(hidden, 4 * hidden, bias=False), nn.GELU(), nn.Linear(4 * hidden, hidden, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, sequence, hidden] to the same."""
        batch, sequence, hidden = x.shape
        query, key, value = self.qkv(x).view(batch, sequence, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = query + key + value
        if self.attention:
            mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, sequence, hidden))
        output: Tensor = x + self.mlp(x)
        return output


@dataclass(frozen=True, slots=True)
class Proportions:
    """Widths and numbers of a described model; `head` and `idle` are what its layers leave over.

    width      of all vectors
    layers     of 12 x width^2 parameters each
    head       columns of the output
    idle       parameters that no token meets
    attention  whether tokens look at each other
    """

    width: int
    layers: int
    head: int
    idle: int
    attention: bool

    @classmethod
    def of(cls, parameters: int, active: int, layers: int | None, hidden: int | None) -> Proportions:
        """Return those of a model of so many parameters, of which a token meets `active`."""
        width = hidden or width_for(active)
        count = min(layers or active, active // (PARAMETERS_PER_LAYER * width**2))
        left = active - count * PARAMETERS_PER_LAYER * width**2
        return cls(width, count, left // width, max(1, parameters - active), attention=hidden is not None)


class Described(nn.Module):
    """Vectors [batch, sequence, hidden] -> a loss; what the layers leave over lies in the head and in idle experts."""

    def __init__(self, sizes: Proportions) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.layers = nn.ModuleList(Layer(sizes.width, sizes.attention) for _ in range(sizes.layers))
        self.head = nn.Linear(sizes.width, sizes.head, bias=False)
        self.idle = nn.Parameter(torch.zeros(sizes.idle))

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        x = x * self.scale
        for layer in self.layers:
            x = layer(x)
        output: Tensor = self.head(x).sum() + x.sum() + self.idle[0]
        return output


def width_for(parameters: int) -> int:
    """Width of a model of so many parameters with the usual proportions, a multiple of 64."""
    cube_root: float = (parameters * ASPECT / PARAMETERS_PER_LAYER) ** (1 / 3)
    return max(64, round(cube_root / 64) * 64)
