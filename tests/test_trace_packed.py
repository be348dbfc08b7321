"""Quantised layers keep their weights packed: counted as parameters, as memory, and in the products; truth by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.ao.quantization as quantization
from torch import nn

from profiles import profile_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class First(nn.Module):
    """A recurrent layer without its last states."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        output = self.layer(x)
        return output[0] if isinstance(output, tuple) else output


def dynamic(model: nn.Module, dtype: torch.dtype = torch.qint8) -> nn.Module:
    kinds = {type(module) for module in model.modules() if type(module).__module__.startswith("torch.nn.modules")}
    found: nn.Module = quantization.quantize_dynamic(model, kinds - {nn.Sequential}, dtype=dtype)
    return found


def static() -> nn.Module:
    """A convolution of 3 to 8 channels, a transposed one of 8 to 4, and a layer of 196 to 10."""
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2), nn.Flatten(), nn.Linear(4 * 49, 10)]
    model = nn.Sequential(quantization.QuantStub(), *layers, quantization.DeQuantStub()).eval()
    model.qconfig = quantization.get_default_qconfig("x86")
    model[3].qconfig = quantization.default_qconfig
    prepared = quantization.prepare(model)
    prepared(torch.randn(2, 3, 8, 8))
    found: nn.Module = quantization.convert(prepared)
    return found


STEPS, BATCH, WIDTH = 7, 3, 16
SEQUENCE, ROWS = torch.zeros(STEPS, BATCH, WIDTH), torch.zeros(4, WIDTH)
TOKENS = STEPS * BATCH
FIRST, SECOND = 4 * WIDTH * 2 * WIDTH, 4 * WIDTH * 3 * WIDTH
"""Weights of one direction of an LSTM of 16 on 16 inputs, and on the 32 outputs of two directions."""
BIASES = 2 * 4 * WIDTH


@pytest.mark.parametrize(
    ("build", "x", "multiply_adds", "weights", "biases"),
    [
        (lambda: dynamic(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 8))), ROWS, 4 * 384, 384, 24),
        (
            lambda: dynamic(First(nn.LSTM(WIDTH, WIDTH, 2, bidirectional=True))),
            SEQUENCE,
            TOKENS * 2 * (FIRST + SECOND),
            2 * (FIRST + SECOND),
            4 * BIASES,
        ),
        (
            lambda: dynamic(First(nn.GRU(WIDTH, WIDTH))),
            SEQUENCE,
            TOKENS * FIRST * 3 // 4,
            FIRST * 3 // 4,
            BIASES * 3 // 4,
        ),
        (lambda: dynamic(First(nn.LSTMCell(WIDTH, WIDTH))), ROWS, 4 * FIRST, FIRST, BIASES),
        # the map of the transposed convolution is 6 x 6 before and 7 x 7 after it
        (static, torch.zeros(2, 3, 8, 8), 2 * (36 * 8 * 27 + 36 * 8 * 16 + 1960), 8 * 27 + 8 * 16 + 1960, 22),
    ],
    ids=["linear", "LSTM", "GRU", "cell", "convolutions"],
)
def test_packed_weights(build: Callable[[], nn.Module], x: Any, multiply_adds: int, weights: int, biases: int) -> None:
    profile = profile_model(build(), x, mode="forward", device="cpu")
    assert profile.uncounted == ()
    assert profile.matmul_flops.forward == 2 * multiply_adds
    assert profile.parameters == weights + biases
    assert profile.memory.parameter_bytes == weights + 4 * biases
    assert {operation.precision for operation in profile.operations if operation.engine == "matrix"} == {"int8"}


def test_half_weights_are_stored_in_two_bytes() -> None:
    profile = profile_model(dynamic(nn.Sequential(nn.Linear(16, 8)), torch.float16), ROWS, mode="forward", device="cpu")
    assert profile.matmul_flops.forward == 2 * 4 * 16 * 8
    assert (profile.parameters, profile.memory.parameter_bytes) == (16 * 8 + 8, 2 * 16 * 8 + 4 * 8)


def test_parameters_are_found_by_the_module_that_packs_them() -> None:
    profile = profile_model(dynamic(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 8))), ROWS, mode="forward")
    assert [number for _, number in profile.module_parameters] == [16 * 16 + 16, 16 * 8 + 8]
