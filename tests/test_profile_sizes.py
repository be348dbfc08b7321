"""One profile answers every size: lengths and sides that kernels round up included, to the last FLOP and byte."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from profiles import ModelProfile, profile_model
from profiles.models.example_inputs import example
from profiles.profiling import _Call, profile_of
from profiles.sizes import ALIGNED, ANY, ROUND, UNALIGNED, kinds_of
from profiles.trace import optimized
from profiles.trace.rungs import climb
from profiles.trace.settings import StepSettings
from profiles.trace_record import fold

WORDS, WIDTH, HEADS = 50, 16, 2
EFFICIENT = "aten._scaled_dot_product_efficient_attention"
FIGURES = ("flops", "matmul_flops", "model_flops", "executed_flops", "bytes_moved", "memory")


class Attention(nn.Module):
    """One layer of attention: causal, or with a learned bias for every pair of places, as in T5."""

    def __init__(self, biased: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.mixed = nn.Linear(WIDTH, 3 * WIDTH)
        self.places = nn.Embedding(8, HEADS) if biased else None
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        batch, length = ids.shape
        parts = self.mixed(self.words(ids)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts, self._bias(length), is_causal=self.places is None)
        return self.head(mixed.transpose(1, 2).reshape(batch, length, WIDTH))

    def _bias(self, length: int) -> torch.Tensor | None:
        if self.places is None:
            return None
        far = torch.arange(length)
        return self.places((far[:, None] - far[None, :]).abs().clamp(max=7)).permute(2, 0, 1)[None]


IDS = torch.int64


@cache
def attention(biased: bool, batch: int, length: int) -> ModelProfile:
    return profile_model(Attention(biased), torch.zeros(batch, length, dtype=IDS))


def traced(biased: bool, batch: int, length: int) -> ModelProfile:
    """The same model, traced at this size alone."""
    given = example(((torch.zeros(batch, length, dtype=IDS),), {}))
    settings, call = StepSettings(), _Call(Attention(biased), given, None)
    found = climb(lambda ground: call.step(ground, settings), settings, 0)
    return profile_of("direct", settings, found, fold(found.trace.raw(batch, length)))


def said(profile: ModelProfile) -> tuple[Any, ...]:
    return tuple(getattr(profile, name) for name in FIGURES), sorted(map(repr, profile.operations))


@pytest.mark.parametrize("biased", [False, True])
def test_lengths_that_attention_pads_are_those_of_a_trace_there(biased: bool) -> None:
    chance = random.Random(int(biased))
    for length in (chance.randrange(1, 300) * 8, chance.randrange(1, 300) * 8 + 5, chance.randrange(9, 2000)):
        batch = chance.choice([1, 2, 6])
        direct = said(traced(biased, batch, length))
        for recorded in (attention(biased, 2, 96), attention(biased, 1, 77)):
            assert not recorded.notes[1:] and said(recorded.at(batch, length)) == direct


def test_what_attention_saves_is_padded_to_32_and_the_gradient_of_its_bias_to_16() -> None:
    profile = attention(True, 1, 77)
    for batch, length, padded, rows in ((1, 64, 64, 64), (3, 65, 96, 80), (2, 777, 800, 784)):
        moved = profile.at(batch, length)
        forward = next(op for op in moved.operations if op.operator == EFFICIENT)
        backward = next(op for op in moved.operations if op.operator == f"{EFFICIENT}_backward")
        assert forward.outputs[1].shape == (batch, HEADS, padded)
        assert backward.outputs[3].storage_elements in (batch * HEADS * length * rows, batch * HEADS * length * length)
    assert sum(op.count for op in profile.at(1, 64).operations) < sum(op.count for op in profile.operations)


def test_a_profile_with_recordings_for_both_kinds_of_lengths_survives_a_file() -> None:
    profile = attention(True, 2, 96)
    again = ModelProfile.from_json(profile.to_json())
    assert again == profile and len(again.trace.further) == 2
    assert said(again.at(1, 333)) == said(profile.at(1, 333))
    elsewhere = ModelProfile.from_json(profile.at(3, 333).to_json())
    assert elsewhere.at(2, 96) == profile.at(2, 96)


def test_only_masked_memory_efficient_attention_has_two_kinds_of_lengths() -> None:
    assert kinds_of(attention(True, 2, 96).operations) == (ALIGNED, UNALIGNED)
    assert kinds_of(attention(False, 2, 96).operations) == (ANY,)


@pytest.mark.parametrize("kind", [ANY, ROUND, ALIGNED, UNALIGNED])
def test_examples_are_of_their_kind_and_leave_different_rests(kind) -> None:
    assert all(map(kind.holds, kind.examples))
    assert [kind.up_to(each) for each in kind.examples] == list(kind.examples)
    assert all(kind.holds(kind.beyond(each)) and kind.beyond(each) > each for each in range(1, 99))
    assert len({each % (2 * max(kind.multiple, 8)) for each in kind.examples}) > 1


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_inputs_that_ask_for_a_gradient_do_so_at_every_size(batch: int) -> None:
    """Backward: 2 FLOPs x 6 x 5 a sample for the weight, and as many for the input where its gradient is wanted."""
    for wanted, products in ((True, 2), (False, 1)):
        profile = profile_model(nn.Linear(6, 5), torch.zeros(3, 6, requires_grad=wanted)).at(batch)
        assert profile.matmul_flops.forward == 2 * batch * 6 * 5
        assert profile.matmul_flops.backward == products * 2 * batch * 6 * 5


def test_a_gradient_penalty_is_counted_at_every_size() -> None:
    """Product forward; weight and input gradient; the penalty's own product, and its gradient for the weight."""

    def penalised(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        score = model(x).sum()
        (slope,) = torch.autograd.grad(score, x, create_graph=True)
        return score + slope.square().sum()

    profile = profile_model(nn.Linear(6, 5, bias=False), torch.zeros(4, 6, requires_grad=True), step=penalised)
    one = {batch: 2 * batch * 6 * 5 for batch in (1, 4, 9)}
    direct = profile.matmul_flops.total // one[4]
    assert direct >= 4 and profile.matmul_flops.total == direct * one[4]
    for batch, product in one.items():
        assert profile.at(batch).matmul_flops.total == direct * product


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_tensor_that_is_given_several_times_is_one_at_every_size(batch: int) -> None:
    """Self-attention projects its one input once: 3 W wide; apart it would be held, and projected, three times."""
    width, length = 16, 10
    x = torch.zeros(2, length, width)
    model = nn.MultiheadAttention(width, 2, batch_first=True)
    options = {"need_weights": False}
    profile = profile_model(model, (x, x, x), options, mode="forward").at(batch)
    tokens = batch * length
    assert profile.matmul_flops.total == 2 * tokens * width * (3 * width + width) + 4 * tokens * length * width
    assert profile.memory.input_bytes == tokens * width * 4
    products = [op for op in profile.operations if op.family == "matmul"]
    assert sorted(op.outputs[0].shape[-1] for op in products) == [width, 3 * width]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd-momentum", "adagrad", "adafactor"])
def test_an_optimizer_written_down_again_is_the_one_that_runs(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trace in a process repeats the optimizer's step of the first, which a third one runs again."""
    settings = StepSettings(optimizer=optimizer)
    layers = (nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    seen: dict[object, optimized.Optimized] = {}
    monkeypatch.setattr(optimized, "SEEN", seen)
    traces = []
    for batch in (4, 9, 9):
        call = _Call(nn.Sequential(*layers), example(((torch.zeros(batch, 6),), {})), None)
        traces.append(climb(lambda ground, call=call: call.step(ground, settings), settings, 0).trace)
        assert len(seen) == 1
        if len(traces) == 2:
            seen.clear()
    again, run = traces[1:]
    assert any(call.phase == "optimizer" for call in run.operations)
    assert again.operations == run.operations and again.moments == run.moments
