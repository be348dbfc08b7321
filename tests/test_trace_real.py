"""A real run on the CPU counts the kernels of the target device, as a symbolic run does; truth by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from profiles import profile_model
from profiles.trace.rungs import Ground, trace_on
from profiles.trace.settings import StepSettings
from profiles.trace.step import Step, StepTrace

BATCH, LENGTH, WIDTH = 2, 40, 64
X = torch.randn(BATCH, LENGTH, WIDTH)
PRODUCT = 2 * BATCH * LENGTH * WIDTH * WIDTH
PAIRS = 2 * BATCH * LENGTH * LENGTH * WIDTH
"""One of the two products of attention."""


class Attention(nn.Module):
    """Self-attention of four heads."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.layer(self.norm(x)).unflatten(-1, (4, 16)).transpose(1, 2)
        return scaled_dot_product_attention(heads, heads, heads, is_causal=True).transpose(1, 2).flatten(2)


class Decided(nn.Module):
    """A layer behind a branch that depends on the values of the input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x + 1 if x.sum() > 1e9 else x)


@pytest.mark.parametrize(
    ("layer", "forward", "backward"),
    [
        (Attention, PRODUCT + 2 * PAIRS, 2 * PRODUCT + 5 * PAIRS),
        # 96 inputs and states of 3 gates, two directions; the input needs no gradient
        (lambda: nn.GRU(WIDTH, 32, bidirectional=True, batch_first=True), 9 * PRODUCT // 2, 6 * PRODUCT),
        (lambda: nn.LSTM(WIDTH, 32, batch_first=True), 3 * PRODUCT, 4 * PRODUCT),
    ],
    ids=["attention", "GRU", "LSTM"],
)
def test_kernels_of_cuda_where_values_decide(layer: Callable[[], nn.Module], forward: int, backward: int) -> None:
    found = profile_model(Decided(layer()), X, device="cuda")
    assert found.rung == "cpu"
    assert found.uncounted == ()
    assert (found.matmul_flops.forward, found.matmul_flops.backward) == (forward, backward)
    operators = {operation.operator for operation in found.operations}
    assert operators & {"aten._scaled_dot_product_efficient_attention", "aten._cudnn_rnn"}
    assert not operators & {"aten._scaled_dot_product_flash_attention_for_cpu", "aten.mkldnn_rnn_layer"}


def traced(rung: Any, build: Callable[[], nn.Module], settings: StepSettings) -> StepTrace:
    def make(ground: Ground) -> Step:
        with ground.context():
            model = build().to(settings.arithmetic.weights).train(settings.mode == "train")
            x = torch.empty(X.shape, dtype=settings.arithmetic.weights)
        return Step(model, (x,), {}, lambda outputs, *rest: outputs[0].float().mean())

    return trace_on(rung, make, settings)


@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("precision", ["float32", "amp_bfloat16"])
@pytest.mark.parametrize(
    "build",
    [
        Attention,
        lambda: nn.GRU(WIDTH, 32, 2, bidirectional=True, dropout=0.1),
        lambda: nn.TransformerEncoderLayer(WIDTH, 4, 128, batch_first=True),
    ],
    ids=["attention", "GRU", "encoder layer"],
)
def test_the_calls_of_a_real_run_are_those_of_a_symbolic_one(
    build: Callable[[], nn.Module], precision: str, mode: Any
) -> None:
    settings = StepSettings(mode, precision, "sgd", "cuda")
    calls = []
    for rung in ("meta", "cpu"):
        trace = traced(rung, build, settings)
        calls.append(Counter((o.phase, o.module, o.operator, o.flops, o.bytes_moved) for o in trace.operations))
        calls.append(Counter([max(sum(moment.live) for moment in trace.moments)]))
    assert calls[0] == calls[2]
    assert calls[1] == calls[3]
