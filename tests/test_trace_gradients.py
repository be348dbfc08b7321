"""Models that take gradients in their forward pass: forces, penalties, per-sample gradients; truth by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hand_truth_modules import Apply
from torch import nn

from profiles import profile_model

FIRST, LAST = 2 * 8 * 32 * 64, 2 * 8 * 64
"""FLOPs of layers of 32 to 64 and 64 to 1 with 8 rows."""
X = torch.zeros(8, 32)


class Energy(nn.Module):
    """Energy of a state, and the force: its gradient by the state."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(32, 64), nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.requires_grad_()
        energy = self.last(self.first(x).tanh())
        (force,) = torch.autograd.grad(energy.sum(), x, create_graph=self.training)
        return energy.mean() + force.square().mean()


def test_gradients_of_inference_are_its_forward_pass() -> None:
    found = profile_model(Energy(), X, mode="forward")
    assert found.rung == "meta"
    assert (found.matmul_flops.forward, found.matmul_flops.backward) == (2 * (FIRST + LAST), 0)
    assert found.at(batch_size=16).matmul_flops.forward == 4 * (FIRST + LAST)


def test_gradients_of_gradients() -> None:
    """Backward through force and energy.

    Through the force g W2 * tanh' W1: by W1, by W1's input, by W2 (its input is the constant 1), and then through
    tanh' to the first layer. Through the energy: by the weights and the inputs of both layers. The gradients that meet
    at the first layer's output are added before its products.
    """
    found = profile_model(Energy(), X)
    assert found.matmul_flops.forward == 2 * (FIRST + LAST)
    through_force = 2 * FIRST + LAST
    through_energy = 2 * (FIRST + LAST)
    assert found.matmul_flops.backward == through_force + through_energy


def gradient(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.grad(lambda w: (x @ w).square().sum())(weight)


def per_sample(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    one = torch.func.grad(lambda w, row: (row @ w).square().sum())
    return torch.vmap(one, in_dims=(None, 0))(weight, x)


def vector_jacobian(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    output, pull = torch.func.vjp(lambda x: (x @ weight).sin(), x)
    return pull(output)[0]


@pytest.mark.parametrize("function", [gradient, per_sample, vector_jacobian])
def test_functional_gradients(function: Callable[..., torch.Tensor]) -> None:
    found = profile_model(Apply(function, torch.zeros(32, 16)), X, mode="forward")
    assert found.uncounted == ()
    assert (found.matmul_flops.forward, found.matmul_flops.backward) == (2 * 2 * 8 * 32 * 16, 0)


def test_hessian_goes_forward_over_reverse() -> None:
    def hessian(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.hessian(lambda x: ((x @ weight) ** 3).sum())(x)
        return found

    found = profile_model(Apply(hessian, torch.zeros(32, 16)), torch.zeros(32), mode="forward")
    assert found.uncounted == ()  # the derivatives of a power are primitive operators
    assert found.matmul_flops.total > 2 * 32 * 32 * 16
