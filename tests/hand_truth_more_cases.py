"""More minimal models with FLOPs derived by hand: unusual operators and ways to write and to train a model.

As in `hand_truth_cases`: 2 for every multiply-add, inputs need no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from hand_truth_cases import Case, normal
from hand_truth_modules import Apply
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

ONE = 2 * 4 * 16 * 16
"""A square layer of 16 with 4 rows."""
ROWS = normal(4, 16)


class Using(nn.Module):
    """Layers, used as a function says."""

    def __init__(self, use: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.use = use

    def forward(self, *args: Any) -> Any:
        """Call the function with the layers and the inputs."""
        return self.use(*self.layers, *args)


def layer(inputs: int = 16, outputs: int = 16) -> nn.Linear:
    """A layer without bias."""
    return nn.Linear(inputs, outputs, bias=False)


def layers(count: int) -> nn.Sequential:
    """Equal layers in turn."""
    return nn.Sequential(*(layer() for _ in range(count)))


def frozen(count: int, trained: int) -> nn.Sequential:
    """Equal layers of which one is trained."""
    model = layers(count).requires_grad_(False)
    model[trained].requires_grad_(True)
    return model


def without_gradient(first: nn.Module, second: nn.Module, x: torch.Tensor) -> Any:
    """The first of two layers is no part of the graph."""
    with torch.no_grad():
        y = first(x)
    return second(y)


def mixed(first: nn.Module, x: torch.Tensor) -> Any:
    """A region of mixed precision inside of the model."""
    with torch.autocast("cuda", dtype=torch.bfloat16):
        return first(x)


def saved_products(first: nn.Module, second: nn.Module, x: torch.Tensor) -> Any:
    """Checkpointing that keeps the results of matrix products."""

    def policy(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        saved = operator is torch.ops.aten.mm.default
        return CheckpointPolicy.MUST_SAVE if saved else CheckpointPolicy.PREFER_RECOMPUTE

    contexts = partial(create_selective_checkpoint_contexts, policy)
    return checkpoint(lambda y: second(y).relu(), first(x), use_reentrant=False, context_fn=contexts)


def unrolled(cell: nn.Module, x: torch.Tensor) -> Any:
    """A recurrent cell, step by step."""
    state = None
    for row in x:
        state = cell(row, state)
    return state[0] if isinstance(state, tuple) else state


class Ensemble(nn.Module):
    """Five layers as one, by vmap over their stacked weights."""

    def __init__(self) -> None:
        super().__init__()
        members = [nn.Linear(32, 16) for _ in range(5)]
        self.stacked = nn.ParameterDict(torch.func.stack_module_state(members)[0])
        self.base = [members[0]]  # a list: no part of the model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run them all."""
        call = torch.func.functional_call
        found: torch.Tensor = torch.vmap(lambda weights: call(self.base[0], weights, (x,)))(dict(self.stacked))
        return found


class Alignment(nn.Module):
    """CTC loss over a layer's scores."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 20)

    def forward(self, x: torch.Tensor, targets: torch.Tensor, scored: torch.Tensor, labelled: torch.Tensor) -> Any:
        """Return the loss."""
        return functional.ctc_loss(self.layer(x).log_softmax(-1), targets, scored, labelled)


def backwards(model: nn.Sequential) -> nn.Sequential:
    """A product in a hook of the backward pass."""
    model[1].register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] @ module.weight,))
    return model


def attend(**options: Any) -> Callable[..., torch.Tensor]:
    """Fused attention with options."""
    return partial(functional.scaled_dot_product_attention, **options)


def heads(*lengths: int, width: int = 32, value: int = 32) -> list[torch.Tensor]:
    """Queries of 2 x 8 heads and the first length, keys and values of the second."""
    return [torch.randn(2, 8, lengths[0], width), *(torch.randn(2, 8, lengths[1], size) for size in (width, value))]


PAIRS = 2 * 2 * 8 * 16 * 24 * 32
"""Scores of 16 queries with 24 keys of width 32, for 2 x 8 heads."""
KEY, VALUE, SELF = 2 * 40 * 24 * 64, 2 * 40 * 48 * 64, 2 * 32 * 64 * 64
CROSS = 2 * 4 * 8 * 10 * 64
PROJECTED = 21 * 2 * 2 * (64 * 18 + 128), 21 * 2 * 2 * (64 * 24 + 128)
"""Two layers of an LSTM of 16 in two directions, projected to 8, 21 tokens of 10."""
CELL = 3 * 2 * 16 * 26

CASES = (
    Case(
        "einsum over heads",
        lambda: Apply(lambda x, w: torch.einsum("bshd,hde->bse", x, w), torch.randn(8, 16, 32)),
        normal(2, 10, 8, 16),
        2 * 20 * 128 * 32,
        2 * 20 * 128 * 32,
    ),
    Case(
        "tensordot",
        lambda: Apply(lambda x, w: torch.tensordot(x, w, dims=([1, 2], [0, 1])), torch.randn(5, 6, 7)),
        normal(3, 5, 6),
        2 * 3 * 30 * 7,
        2 * 3 * 30 * 7,
    ),
    Case(
        "baddbmm",
        lambda: Apply(lambda x, w: torch.baddbmm(x, x, w), torch.randn(3, 16, 16)),
        normal(3, 4, 16),
        3 * ONE,
        3 * ONE,
    ),
    Case(
        "dilated 1d convolution",
        lambda: nn.Conv1d(8, 16, 5, dilation=2, padding=4),
        normal(2, 8, 50),
        2 * 100 * 16 * 40,
        2 * 100 * 16 * 40,
    ),
    Case(
        "strided 3d convolution",
        lambda: nn.Conv3d(3, 8, 3, stride=2, padding=1),
        normal(1, 3, 8, 16, 16),
        2 * 4 * 8 * 8 * 8 * 81,
        2 * 4 * 8 * 8 * 8 * 81,
    ),
    Case(
        "grouped transposed convolution",
        lambda: nn.ConvTranspose2d(16, 32, 3, stride=2, groups=4, output_padding=1, padding=1),
        normal(1, 16, 10, 10),
        2 * 100 * 16 * 8 * 9,
        2 * 100 * 16 * 8 * 9,
    ),
    Case(
        "grouped, then depthwise",
        lambda: nn.Sequential(nn.Conv2d(8, 16, 3, groups=2), nn.Conv2d(16, 16, 3, groups=16)),
        normal(1, 8, 12, 12),
        2 * 100 * 16 * 36 + 2 * 64 * 16 * 9,
        2 * 100 * 16 * 36 + 2 * 2 * 64 * 16 * 9,
    ),
    Case(
        "unfold and fold",
        lambda: Apply(lambda x, w: functional.fold(w @ functional.unfold(x, 3, padding=1), 12, 1), torch.randn(16, 72)),
        normal(1, 8, 12, 12),
        2 * 144 * 16 * 72,
        2 * 144 * 16 * 72,
    ),
    Case(
        "CTC",
        Alignment,
        lambda: (torch.randn(50, 4, 32), torch.ones(4, 10).long(), torch.full((4,), 50), torch.full((4,), 10)),
        2 * 200 * 32 * 20,
        2 * 200 * 32 * 20,
    ),
    Case("bag of embeddings", lambda: nn.EmbeddingBag(100, 16), lambda: (torch.zeros(8, 5).long(),), 0, 0),
    Case(
        "keys and values of other widths",
        lambda: Using(lambda m, *x: m(*x, need_weights=False)[0], nn.MultiheadAttention(64, 4, kdim=24, vdim=48)),
        lambda: (torch.randn(8, 4, 64), torch.randn(10, 4, 24), torch.randn(10, 4, 48)),
        2 * SELF + KEY + VALUE + 2 * CROSS,
        3 * SELF + KEY + VALUE + 5 * CROSS,  # inputs are given: no gradients by them; the result's projection has both
    ),
    Case(
        "cross attention, causal",
        lambda: Apply(attend(attn_mask=torch.ones(16, 24).bool().tril()), *heads(16, 24)),
        tuple,
        2 * PAIRS,
        5 * PAIRS,
    ),
    Case(
        "attention to wider values",
        lambda: Apply(attend(), *heads(16, 24, value=64)),
        tuple,
        3 * PAIRS,
        7 * PAIRS,  # scores again, their gradient by both, and two products of twice the width
    ),
    Case(
        "projected LSTM",
        lambda: nn.LSTM(10, 16, 2, bidirectional=True, proj_size=8),
        normal(7, 3, 10),
        sum(PROJECTED),
    ),
    Case(
        "GRU cells",
        lambda: Using(unrolled, nn.GRUCell(10, 16)),
        normal(7, 3, 10),
        7 * 3 * CELL,
        7 * 3 * CELL + 6 * 3 * 3 * 2 * 16 * 16,  # the first state needs no gradient
    ),
    Case(
        "LSTM cells",
        lambda: Using(unrolled, nn.LSTMCell(10, 16)),
        normal(7, 3, 10),
        7 * 4 * CELL,
        7 * 4 * CELL + 6 * 4 * 3 * 2 * 16 * 16,
    ),
    Case("ensemble", Ensemble, normal(8, 32), 5 * 2 * 8 * 32 * 16, 5 * 2 * 8 * 32 * 16),
    Case(
        "complex layer",
        lambda: nn.Linear(16, 16, bias=False, dtype=torch.cfloat),
        lambda: (torch.randn(4, 16, dtype=torch.cfloat),),
        4 * ONE,
        4 * ONE,
    ),
    Case(
        "Fourier operator",
        lambda: Apply(
            lambda x, w: torch.einsum("bixy,ioxy->boxy", torch.fft.rfft2(x)[..., :4, :4], w).abs(),
            torch.randn(3, 5, 4, 4, dtype=torch.cfloat),
        ),
        normal(2, 3, 8, 8),
        8 * 2 * 3 * 5 * 16,
        8 * 2 * 3 * 5 * 16,
    ),
    Case(
        "reentrant checkpoint",
        lambda: Using(lambda a, b, x: checkpoint(b, a(x), use_reentrant=True), layer(), layers(2)),
        ROWS,
        3 * ONE,
        (1 + 4 + 2) * ONE,
    ),
    Case(
        "checkpoint that stops early",
        lambda: Using(lambda a, b, x: checkpoint(b, a(x), use_reentrant=False), layer(), layers(2)),
        ROWS,
        3 * ONE,
        (1 + 4 + 1) * ONE,
    ),
    Case(
        "sequential checkpoint",
        lambda: Using(lambda a, b, x: checkpoint_sequential(b, 2, a(x), use_reentrant=False), layer(), layers(4)),
        ROWS,
        5 * ONE,
        (1 + 8 + 1) * ONE,
    ),
    Case("selective checkpoint", lambda: Using(saved_products, layer(), layer()), ROWS, 2 * ONE, 3 * ONE),
    Case("only the last is trained", lambda: frozen(4, 3), ROWS, 4 * ONE, ONE),
    Case("only the first is trained", lambda: frozen(4, 0), ROWS, 4 * ONE, (3 + 1) * ONE),
    Case("detached", lambda: Using(lambda a, b, x: b(a(x).detach()), layer(), layer()), ROWS, 2 * ONE, ONE),
    Case("without gradient", lambda: Using(without_gradient, layer(), layer()), ROWS, 2 * ONE, ONE),
    Case("mixed precision inside", lambda: Using(mixed, layer()), ROWS, ONE, ONE),
    Case("hook of the backward pass", lambda: backwards(layers(2)), ROWS, 2 * ONE, (3 + 1) * ONE),
    Case(
        "a weight used five ways",
        lambda: Apply(
            lambda x, w: functional.linear(x, w) + x.matmul(w) + torch.mm(x, w) + torch.addmm(x, x, w) + x @ w,
            torch.randn(16, 16),
        ),
        ROWS,
        5 * ONE,
        5 * ONE,
    ),
    Case("in place", lambda: Apply(lambda x, w: x.clone().addmm_(x, w), torch.randn(16, 16)), ROWS, ONE, ONE),
    Case(
        "two losses of one trunk",
        lambda: Using(lambda a, b, c, x: (b(a(x)).mean(), c(a(x)).mean()), layer(), layer(), layer()),
        ROWS,
        4 * ONE,
        (2 * 2 + 2) * ONE,  # the trunk runs twice and needs no gradient by its input
    ),
    Case(
        "spectral norm, evaluated",
        lambda: nn.utils.parametrizations.spectral_norm(layer()).eval(),
        ROWS,
        ONE + 2 * 16 * 16 + 2 * 16,  # a matrix with a vector, and a dot product
    ),
)
