"""What `profile_model` answers for a user's own module: any size, any training step, and nothing left behind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from hardware_db.errors import UsageError
from profiles import ModelProfile, profile_model

WORDS, WIDTH = 100, 32


class Encoder(nn.Module):
    """Embedding, a layer and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 64, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.words(ids)))


def encoder(batch: int, length: int) -> ModelProfile:
    return profile_model(Encoder(), torch.zeros(batch, length, dtype=torch.int64), precision="amp_bfloat16")


def images(batch: int) -> ModelProfile:
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    return profile_model(nn.Sequential(*layers), torch.zeros(batch, 3, 9, 9))


def figures(profile: ModelProfile) -> tuple[Any, ...]:
    return profile.flops, profile.model_flops, profile.executed_flops, profile.bytes_moved, profile.peak_memory_bytes


def test_tokens_are_known_from_integer_inputs() -> None:
    profile = encoder(4, 40)
    assert (profile.batch_size, profile.sequence_length) == (4, 40)


def test_one_profile_answers_other_sizes_as_a_profile_there_would() -> None:
    profile, chance = encoder(4, 40), random.Random(3)
    for batch in (1, chance.randint(2, 30)):
        length = chance.randint(2, 300)
        assert figures(profile.at(batch, length)) == figures(encoder(batch, length))


def test_one_profile_answers_other_batches_of_images() -> None:
    assert figures(images(4).at(7)) == figures(images(7))
    assert figures(images(4).at(1)) == figures(images(1))


def test_inputs_whose_values_decide_hold_for_their_own_size() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.layer(x[mask])

    profile = profile_model(Masked(), (torch.zeros(4, 6), torch.tensor([True, False, True, True])))
    assert any("this size only" in note for note in profile.notes)
    with pytest.raises(UsageError, match="4 only"):
        profile.at(8)


class Rivals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.maker, self.judge = nn.Linear(8, 16, bias=False), nn.Linear(16, 1, bias=False)


def duel(model: Rivals, noise: torch.Tensor, real: torch.Tensor) -> Iterator[Any]:
    yield model.judge(model.maker(noise).detach()).mean() - model.judge(real).mean(), model.judge.parameters()
    yield -model.judge(model.maker(noise)).mean(), model.maker.parameters()


def test_a_step_with_two_optimizers() -> None:
    profile = profile_model(Rivals(), (torch.zeros(4, 8), torch.zeros(4, 16)), step=duel)
    maker, judge = 2 * 4 * 8 * 16, 2 * 4 * 16
    assert profile.matmul_flops.forward == (maker + 2 * judge) + (maker + judge)
    assert profile.matmul_flops.backward == 2 * judge + (2 * judge + maker)


def test_a_step_that_returns_its_loss() -> None:
    profile = profile_model(
        nn.Linear(8, 16), torch.zeros(4, 8), step=lambda model, x: model(x).square().sum() + model(-x).sum()
    )
    assert profile.matmul_flops.forward == 2 * 2 * 4 * 8 * 16


def test_model_flops_are_those_of_products() -> None:
    profile = encoder(4, 40)
    assert all(not each.model_flops for each in profile.operations if each.engine != "matrix")
    assert profile.model_flops.forward == profile.matmul_flops.forward < profile.flops.forward


def test_profiling_leaves_the_model_and_torch_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.BatchNorm1d(8)).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, compile_, dtype = torch.random.get_rng_state(), torch.compile, torch.get_default_dtype()
    for precision in ("float32", "amp_bfloat16", "bfloat16"):
        profile_model(model, torch.zeros(4, 8), precision=precision)
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert (torch.compile, torch.get_default_dtype(), torch.is_grad_enabled()) == (compile_, dtype, True)
    query = torch.zeros(1, 1, 4, 8)
    assert torch.nn.functional.scaled_dot_product_attention(query, query, query).device.type == "cpu"
