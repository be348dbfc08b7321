"""Ratio of a training step to its forward pass, by hand: hardly ever the 3 of the rule of thumb."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hand_truth_modules import Apply, LowRank, attention
from torch import nn
from torch.utils.checkpoint import checkpoint

from profiles import ModelProfile, profile_model
from profiles.formulas import Call, Cost, cost_of, matrix_cost, register_formula
from profiles.formulas import registry as registry_module
from profiles.formulas.costs import Product


def perceptron() -> nn.Sequential:
    """Four equal layers."""
    return nn.Sequential(*(nn.Sequential(nn.Linear(256, 256), nn.ReLU()) for _ in range(4)))


def frozen() -> nn.Sequential:
    """Four equal layers of which only the last is trained."""
    model = perceptron()
    model[:3].requires_grad_(False)
    return model


def low_rank() -> nn.Sequential:
    """Four frozen layers of 512, each with a trained correction of rank 8."""
    return nn.Sequential(*(LowRank() for _ in range(4)))


class CheckpointedBlocks(nn.Module):
    """Two blocks of two layers that are run again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256)]
        self.blocks = nn.ModuleList([nn.Sequential(*sizes), nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep nothing of the blocks."""
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)
        return x


def step(build: Callable[[], nn.Module], *args: Any) -> ModelProfile:
    return profile_model(build(), args, mode="train", device="cuda")


FROZEN, RANK = 512 * 512, 2 * 512 * 8
"""Weights of the frozen layer and of its correction."""


@pytest.mark.parametrize(
    ("build", "args", "ratio"),
    [
        # the first layer has no gradient by its input: 4 + 4 + 3 products over 4
        (perceptron, (torch.randn(8, 256),), Fraction(11, 4)),
        (frozen, (torch.randn(8, 256),), Fraction(5, 4)),
        (
            low_rank,
            (torch.randn(8, 512),),
            # forward 4 (F + R); weights 4 R; data: R/2 for the up matrix of each, and F + R/2 of all but the first
            1 + Fraction(4 * RANK + 4 * RANK // 2 + 3 * (FROZEN + RANK // 2), 4 * (FROZEN + RANK)),
        ),
        # torch stops running a block again before its last layer, whose result nobody needs
        (CheckpointedBlocks, (torch.randn(8, 256),), Fraction(4 + 2 + 4 + 3, 4)),
        (lambda: Apply(attention, *(torch.randn(1, 12, 64, 64) for _ in range(3))), (), Fraction(7, 2)),
        # as large inputs as states: 2 units forward; 2 for the data less the input's 1, and 2 for the weights
        (lambda: nn.LSTM(128, 128), (torch.randn(16, 4, 128),), Fraction(2 + 1 + 2, 2)),
        (lambda: nn.LSTM(64, 128), (torch.randn(16, 4, 64),), Fraction(3 + 2 + 3, 3)),
    ],
    ids=["perceptron", "frozen backbone", "low rank", "checkpointed", "attention", "LSTM", "narrow LSTM"],
)
def test_step_over_forward(build: Callable[[], nn.Module], args: tuple[Any, ...], ratio: Fraction) -> None:
    flops = step(build, *args).matmul_flops
    assert Fraction(flops.total, flops.forward) == ratio


def test_stem_without_gradient_by_the_image() -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1))
    flops = profile_model(model, (torch.randn(2, 3, 32, 32),)).matmul_flops
    stem, second = (2 * 2 * 32 * 32 * 64 * (channels * 9) for channels in (3, 64))
    assert (flops.forward, flops.backward) == (stem + second, stem + 2 * second)


def test_recomputation_is_no_work_that_the_model_asks_for() -> None:
    profile = step(CheckpointedBlocks, torch.randn(8, 256))
    one = 2 * 8 * 256 * 256
    matrix = [operation for operation in profile.operations if operation.engine == "matrix"]
    assert sum(operation.flops * operation.count for operation in matrix) == 13 * one
    assert sum(operation.model_flops * operation.count for operation in matrix) == 11 * one


def test_causal_attention_keeps_three_totals_apart() -> None:
    def causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)

    profile = step(lambda: Apply(causal, *(torch.randn(1, 12, 64, 64) for _ in range(3))))
    attentive = [operation for operation in profile.operations if operation.family == "attention"]
    product = 2 * 12 * 64 * 64 * 64
    assert sum(operation.flops for operation in attentive) == 7 * product
    assert sum(operation.model_flops for operation in attentive) == 6 * product
    assert sum(operation.executed_flops for operation in attentive) == 7 * product * 65 // (2 * 64)


def test_fourier_transform() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft(x).abs()

    profile = profile_model(Spectrum(), (torch.randn(16, 4096),), mode="forward")
    transforms = [operation.flops for operation in profile.operations if operation.family == "fft"]
    assert transforms == [16 * 5 * 4096 * 12 // 2]
    assert profile.matmul_flops.total == 0


@torch.library.custom_op("flopcast_tests::hidden_product", mutates_args=())
def hidden_product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """A product that no counter can look into."""
    return torch.from_numpy(x.detach().numpy() @ w.detach().numpy())


@hidden_product.register_fake
def _(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return x.new_empty(x.shape[0], w.shape[1])


def test_custom_operator_is_listed_until_it_has_a_formula() -> None:
    model, x = (
        Apply(lambda x, w: hidden_product(x, w), torch.randn(128, 256)).requires_grad_(False),
        torch.randn(128, 128),
    )
    before = profile_model(model, (x,), mode="forward")
    (unknown,) = before.uncounted
    assert (unknown.operator, unknown.calls, unknown.share) == ("flopcast_tests.hidden_product", 1, 1.0)

    @register_formula("flopcast_tests.hidden_product")
    def formula(call: Call) -> Cost:
        left, right = call.tensor(0), call.tensor(1)
        return matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1]))

    try:
        after = profile_model(model, (x,), mode="forward")
    finally:
        del registry_module._FORMULAS["flopcast_tests.hidden_product"]
        cost_of.cache_clear()
    assert after.uncounted == () and after.matmul_flops.forward == 2 * 128 * 128 * 256
