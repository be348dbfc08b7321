"""Training steps of the user that run backward pass and optimizer themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hardware_db.errors import ModelError
from profiles import ModelProfile, profile_model
from profiles.definitions import ProfileRequest, profile_definition
from profiles.models import resolve

PRODUCT = 2 * 4 * 8 * 8
"""FLOPs of [4, 8] x [8, 8]."""


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False))


def phases(profile: ModelProfile) -> dict[str, int]:
    return {phase: getattr(profile.flops, phase) for phase in ("forward", "backward", "optimizer")}


def loss_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x).pow(2).mean()


@pytest.mark.parametrize("returned", ["nothing", "loss", "detached"])
@pytest.mark.parametrize("inside", [True, False], ids=["optimizer of the twin", "optimizer of the original"])
@pytest.mark.parametrize("precision", ["float32", "amp_bfloat16"])
def test_a_step_that_does_it_all_is_counted_as_one_that_returns_its_loss(
    returned: str, inside: bool, precision: str
) -> None:
    model, x = two_layers(), torch.randn(4, 8)
    outside = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(model: nn.Module, x: torch.Tensor) -> Any:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1) if inside else outside
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        optimizer.step()
        return {"nothing": None, "loss": loss, "detached": loss.detach()}[returned]

    profile = profile_model(model, x, step=step, precision=precision)
    plain = profile_model(model, x, step=loss_of, precision=precision)
    assert profile.rung == "meta"
    assert (profile.matmul_flops.forward, profile.matmul_flops.backward) == (2 * PRODUCT, 3 * PRODUCT)
    assert phases(profile) == phases(plain)
    assert any("(SGD); adamw is counted" in note for note in profile.notes)
    assert not any("in its place" in note for note in plain.notes)


def test_the_users_own_model_and_gradients_stay_as_they_are() -> None:
    model, x = two_layers(), torch.randn(4, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_of(model, x).backward()
    before = [(parameter.detach().clone(), parameter.grad.clone()) for parameter in model.parameters()]
    clear = torch.optim.Optimizer.zero_grad

    def step(model: nn.Module, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss_of(model, x).backward()
        optimizer.step()

    profile_model(model, x, step=step)
    for parameter, (value, gradient) in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
        assert torch.equal(parameter.grad, gradient)
    assert torch.optim.Optimizer.zero_grad is clear


def test_a_step_that_leaves_the_optimizer_out_gets_one() -> None:
    def step(model: nn.Module, x: torch.Tensor) -> None:
        loss_of(model, x).backward()

    model, x = two_layers(), torch.randn(4, 8)
    assert phases(profile_model(model, x, step=step)) == phases(profile_model(model, x, step=loss_of))


def test_gradients_accumulated_over_two_batches_make_one_optimizer_step() -> None:
    def step(model: nn.Module, x: torch.Tensor) -> None:
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(2):
            loss_of(model, x).backward()
        optimizer.step()

    model, x = two_layers(), torch.randn(4, 8)
    profile, plain = profile_model(model, x, step=step), profile_model(model, x, step=loss_of)
    assert (profile.matmul_flops.forward, profile.matmul_flops.backward) == (4 * PRODUCT, 6 * PRODUCT)
    assert profile.flops.optimizer == plain.flops.optimizer > 0


def test_two_optimizers_of_the_parts_of_a_model_step_over_their_own_parameters() -> None:
    def step(model: Any, x: torch.Tensor) -> None:
        first, last = (torch.optim.SGD(model[part].parameters(), lr=0.1) for part in (0, 2))
        loss_of(model, x).backward()
        first.step()
        last.step()

    model, x = two_layers(), torch.randn(4, 8)
    profile, plain = profile_model(model, x, step=step), profile_model(model, x, step=loss_of)
    assert profile.flops.optimizer == plain.flops.optimizer > 0


FACTORY = """
import torch
from torch import nn

def usual():
    model = nn.Linear(8, 8, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(model, x):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, (torch.randn(4, 8),), step
"""


def test_a_factory_may_give_such_a_step(tmp_path: Path) -> None:
    (tmp_path / "training.py").write_text(FACTORY)
    request = ProfileRequest(optimizer="sgd")
    profile = profile_definition(resolve("training.py:usual", base=tmp_path), request)
    assert (profile.matmul_flops.forward, profile.matmul_flops.backward) == (PRODUCT, PRODUCT)
    assert profile.flops.optimizer == 2 * 8 * 8  # p - lr * g: one multiply-add for each weight


def test_a_step_that_gives_nothing_to_train_on_says_what_it_must_return() -> None:
    with pytest.raises(ModelError, match=r"returned None and called no backward\(\)\.\nReturn the loss as a tensor"):
        profile_model(two_layers(), torch.randn(4, 8), step=lambda model, x: None)


def test_an_optimizer_of_a_part_of_the_users_model_steps_over_that_part() -> None:
    model, x = two_layers(), torch.randn(4, 8)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)

    def step(model: nn.Module, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss_of(model, x).backward()
        optimizer.step()

    profile = profile_model(model, x, step=step, optimizer="sgd")
    assert profile.matmul_flops.backward == 3 * PRODUCT  # the gradient of the first weight is taken all the same
    assert profile.flops.optimizer == 2 * 8 * 8  # p - lr * g of one of the two weights


def test_optimizers_of_the_parts_of_the_users_model_step_over_their_own_parameters() -> None:
    model, x = two_layers(), torch.randn(4, 8)
    optimizers = [torch.optim.SGD(model[part].parameters(), lr=0.1) for part in (0, 2)]

    def step(model: nn.Module, x: torch.Tensor) -> None:
        loss_of(model, x).backward()
        for optimizer in optimizers:
            optimizer.step()

    profile, plain = profile_model(model, x, step=step), profile_model(model, x, step=loss_of)
    assert profile.flops.optimizer == plain.flops.optimizer > 0


def test_optimizers_that_cannot_be_told_apart_are_refused() -> None:
    model, other = two_layers(), two_layers()
    optimizers = [torch.optim.SGD(other[part].parameters(), lr=0.1) for part in (0, 2)]

    def step(model: nn.Module, x: torch.Tensor) -> None:
        loss_of(model, x).backward()
        for optimizer in optimizers:
            optimizer.step()

    with pytest.raises(ModelError, match="yields \\(loss, parameters\\) once for each"):
        profile_model(model, torch.randn(4, 8), step=step)
