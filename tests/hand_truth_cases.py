"""Minimal models, each with its FLOPs derived by hand from its shapes: 2 for every multiply-add of a matrix product.

The cases are those on which counters of FLOPs have been found to fail. `backward` is None where the case is about
inference alone. Inputs need no gradient, so that the first products have no gradient by their input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from hand_truth_modules import (
    Apply,
    Checkpointed,
    Control,
    Direct,
    Experts,
    LowRank,
    Mixed,
    ResidualBlock,
    Scaled,
    SparseProduct,
    Twice,
    attention,
    per_sample,
    quantised,
)
from torch import nn


@dataclass(frozen=True)
class Case:
    """A model, what it is called with, and its FLOPs."""

    name: str
    build: Callable[[], nn.Module]
    args: Callable[[], tuple[Any, ...]]
    forward: int
    backward: int | None = None
    backward_cpu: int | None = None
    kwargs: Callable[[], dict[str, Any]] = field(default=dict)

    def expected_backward(self, device: str) -> int | None:
        """FLOPs of the backward pass, which a CPU's kernels may need more or less of."""
        return self.backward_cpu if device == "cpu" and self.backward_cpu is not None else self.backward


def normal(*shape: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    """One random tensor as arguments."""
    return lambda: (torch.randn(*shape),)


BLOCK = 2 * 28 * 28 * 64 * (32 * 9), 2 * 28 * 28 * 64 * (64 * 9), 2 * 28 * 28 * 64 * 32
"""First convolution, second, shortcut, for one image."""
MULTI_HEAD = 2 * 128 * 256 * 3 * 256, 2 * 128 * 256 * 256, 2 * 2 * 2 * 64 * 64 * 256
"""Projections to queries, keys and values, projection of the result, and attention: 2 x 64 tokens of width 256."""
FEED_FORWARD = 2 * 128 * 256 * 2 * 1024
LSTM = 2 * (4 * 128) * (64 + 128), 2 * (4 * 128) * (2 * 128 + 128)
"""First and second layer, one direction, one token (input 64, hidden 128)."""
GRU = 2 * (3 * 128) * (64 + 128)

CASES = (
    Case("linear", lambda: nn.Linear(1000, 1000), normal(1, 1000), 2 * 1000 * 1000, 2 * 1000 * 1000),
    Case("residual block", ResidualBlock, normal(1, 32, 28, 28), sum(BLOCK), sum(BLOCK) + BLOCK[1]),
    Case(
        "depthwise",
        lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64),
        normal(1, 64, 56, 56),
        2 * 64 * 56 * 56 * 9,
        2 * 64 * 56 * 56 * 9,
    ),
    Case(
        "transposed convolution",
        lambda: nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        normal(1, 64, 32, 32),
        2 * 64 * 32 * 32 * 32 * 16,
        2 * 64 * 32 * 32 * 32 * 16,
    ),
    Case(
        "attention",
        lambda: Apply(attention),
        lambda: tuple(torch.randn(1, 12, 64, 64) for _ in range(3)),
        2 * 2 * 12 * 64 * 64 * 64,
    ),
    Case(
        "attention, trained",
        lambda: Apply(attention, *(torch.randn(1, 12, 64, 64) for _ in range(3))),
        tuple,
        2 * 2 * 12 * 64 * 64 * 64,
        5 * 2 * 12 * 64 * 64 * 64,
    ),
    Case(
        "@",
        lambda: Apply(lambda x, w: x @ w, torch.randn(128, 256)),
        normal(128, 128),
        2 * 128 * 128 * 256,
        2 * 128 * 128 * 256,
    ),
    Case(
        "bmm and einsum",
        lambda: Apply(lambda x, w: torch.einsum("bik,bkj->bij", torch.bmm(x, w), w), torch.randn(8, 64, 64)),
        normal(8, 64, 64),
        2 * 2 * 8 * 64**3,
        3 * 2 * 8 * 64**3,
    ),
    Case(
        "multi-head attention",
        lambda: nn.MultiheadAttention(256, 8, batch_first=True),
        lambda: (torch.randn(2, 64, 256),) * 3,
        sum(MULTI_HEAD),
        MULTI_HEAD[0] + 2 * MULTI_HEAD[1] + 2 * MULTI_HEAD[2],  # the weights are asked for: attention is not fused
    ),
    Case(
        "multi-head attention, evaluated",
        lambda: nn.MultiheadAttention(256, 8, batch_first=True).eval(),
        lambda: (torch.randn(2, 64, 256),) * 3,
        sum(MULTI_HEAD),
    ),
    Case(
        "encoder layer",
        lambda: nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True),
        normal(2, 64, 256),
        sum(MULTI_HEAD) + FEED_FORWARD,
        MULTI_HEAD[0] + 2 * MULTI_HEAD[1] + 5 * MULTI_HEAD[2] // 2 + 2 * FEED_FORWARD,
    ),
    Case(
        "encoder layer, evaluated",
        lambda: nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True).eval(),
        normal(2, 64, 256),
        sum(MULTI_HEAD) + FEED_FORWARD,
    ),
    Case(
        "LSTM",
        lambda: nn.LSTM(64, 128, num_layers=2, bidirectional=True, batch_first=True),
        normal(4, 16, 64),
        64 * 2 * sum(LSTM),
        64 * 2 * (2 * sum(LSTM) - 2 * 4 * 128 * 64),
        64 * 2 * 2 * sum(LSTM),  # oneDNN computes the gradient by the input whether it is wanted or not
    ),
    Case(
        "GRU",
        lambda: nn.GRU(64, 128),
        normal(16, 4, 64),
        64 * GRU,
        64 * (2 * GRU - 2 * 3 * 128 * 64),
        64 * (2 * GRU - 2 * 3 * 128 * 64) - 4 * 2 * 3 * 128 * 128,  # step by step: the first state needs no gradient
    ),
    Case(
        "complex product",
        lambda: Apply(lambda x, w: (x @ w).abs(), torch.randn(64, 64, dtype=torch.cfloat)),
        lambda: (torch.randn(32, 64, dtype=torch.cfloat),),
        8 * 32 * 64 * 64,
        8 * 32 * 64 * 64,
    ),
    Case(
        "autograd function",
        lambda: Apply(Scaled.apply, torch.randn(128, 256)),
        normal(128, 128),
        2 * 128 * 128 * 256,
        2 * 128 * 128 * 256,
    ),
    Case("compiled", lambda: torch.compile(nn.Linear(256, 256)), normal(32, 256), 2 * 32 * 256**2, 2 * 32 * 256**2),
    Case("control flow", Control, lambda: (torch.randn(8, 128), 4), 5 * 2 * 8 * 128**2, 9 * 2 * 8 * 128**2),
    Case("shared layer", Twice, normal(2, 256), 3 * 2 * 2 * 256**2, 5 * 2 * 2 * 256**2),
    Case("forward called directly", Direct, normal(2, 256), 2 * 2 * 256**2, 2 * 2 * 256**2),
    Case("quantised", quantised, normal(8, 256), 2 * 8 * 256**2),
    Case(
        "matrix with vector, dot, distances, bilinear",
        Mixed,
        lambda: (torch.randn(128), torch.randn(64, 32), torch.randn(64, 32)),
        2 * 256 * 128 + 2 * 256 + 2 * 64 * 64 * 32 + 2 * 64 * 16 * 32 * 32 + 2 * 64 * 16 * 32,
    ),
    Case("sparse product", SparseProduct, normal(256, 64), 2 * 256 * 64),
    Case("embedding", lambda: nn.Embedding(1000, 64), lambda: (torch.zeros(4, 32, dtype=torch.long),), 0, 0),
    Case("checkpointed", Checkpointed, normal(2, 256), 2 * 2 * 2 * 256**2, (3 + 1) * 2 * 2 * 256**2),
    Case(
        "vmap",
        lambda: Apply(per_sample, torch.randn(256, 128)),
        normal(16, 256),
        2 * 16 * 256 * 128,
        2 * 16 * 256 * 128,
    ),
    Case(
        "experts in a loop",
        Experts,
        normal(64, 64),
        2 * 64 * 64 * 4 + 2 * 64 * 2 * 64 * 64,
        2 * 64 * 2 * 64 * 64,
    ),
    Case(
        "low rank",
        LowRank,
        normal(8, 512),
        2 * 8 * 512 * 512 + 2 * 2 * 8 * 512 * 8,
        3 * 2 * 8 * 512 * 8,
    ),
)
