"""Recurrent layers: every count written out by hand from the shapes."""

from __future__ import annotations

from typing import Any

import pytest
from formula_calls import cost, record, spec

from profiles.formulas import Cost
from profiles.records import TensorSpec

TIME, BATCH, INPUT, HIDDEN = 7, 4, 24, 32
TOKENS = TIME * BATCH
MODES = {"rnn": (1, 1), "lstm": (2, 4), "gru": (3, 3)}
"""cuDNN's mode and number of gates."""


def weights(gates: int, layers: int, directions: int, projection: int = 0) -> tuple[TensorSpec, ...]:
    """Weights in torch's order: input, recurrent, two biases, projection."""
    state = projection or HIDDEN
    found: list[TensorSpec] = []
    for layer in range(layers):
        width = INPUT if layer == 0 else state * directions
        for _ in range(directions):
            rows = gates * HIDDEN
            found += [spec(rows, width), spec(rows, state), spec(rows), spec(rows)]
            found += [spec(projection, HIDDEN)] if projection else []
    return tuple(found)


def cudnn(kind: str, layers: int, directions: int, projection: int = 0) -> tuple[object, ...]:
    """The arguments that forward and backward share, from the mode on."""
    return (MODES[kind][0], HIDDEN, projection, layers, False, 0.0, True, directions == 2, (), None)


def forward(kind: str, layers: int = 1, directions: int = 1, projection: int = 0) -> Cost:
    state, x = spec(layers * directions, BATCH, projection or HIDDEN), spec(TIME, BATCH, INPUT)
    stack = weights(MODES[kind][1], layers, directions, projection)
    args = (x, stack, 4, None, state, state, *cudnn(kind, layers, directions, projection))
    return cost("aten._cudnn_rnn", *args, out=(spec(TIME, BATCH, directions * HIDDEN), state))


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_one_layer(kind: str) -> None:
    gates = MODES[kind][1]
    found = forward(kind)
    assert found.flops == 2 * TOKENS * gates * HIDDEN * (INPUT + HIDDEN)
    assert found.family == "rnn" and found.engine == "matrix"
    sizes = dict(found.dims)
    assert (sizes["m"], sizes["n"], sizes["k"], sizes["steps"]) == (BATCH, gates * HIDDEN, HIDDEN, TIME)


def test_layers_and_directions() -> None:
    first, second = 4 * HIDDEN * (INPUT + HIDDEN), 4 * HIDDEN * (2 * HIDDEN + HIDDEN)
    assert forward("lstm", layers=2, directions=2).flops == 2 * TOKENS * 2 * (first + second)


def test_projection() -> None:
    cell = 4 * HIDDEN * (INPUT + 8) + 8 * HIDDEN
    assert forward("lstm", projection=8).flops == 2 * TOKENS * cell


def test_gates_are_vector_work() -> None:
    lstm = 4 + 3 * 4 + 2 + 3 + 1  # sums, sigmoids, two tanh, state, output
    assert dict(forward("lstm").dims)["vector_flops"] == TOKENS * HIDDEN * (lstm + 8)


@pytest.mark.parametrize(("by_input", "by_weight"), [(True, True), (False, True), (True, False)])
def test_backward(by_input: bool, by_weight: bool) -> None:
    layers, directions = 2, 2
    state, x, y = spec(4, BATCH, HIDDEN), spec(TIME, BATCH, INPUT), spec(TIME, BATCH, 2 * HIDDEN)
    stack = weights(4, layers, directions)
    mask = (by_input, False, False, by_weight)
    common = cudnn("lstm", layers, directions)
    args = (x, stack, 4, spec(0), state, state, y, y, None, None, *common, spec(0, dtype="uint8"), mask)
    found = cost("aten._cudnn_rnn_backward", *args, out=())
    all_layers = forward("lstm", layers, directions).flops
    input_products = 2 * TOKENS * directions * 4 * HIDDEN * INPUT
    assert found.flops == all_layers * (1 + by_weight) - (0 if by_input else input_products)
    assert found.executed_flops == all_layers * (1 + by_weight)


def test_packed_sequences_count_their_tokens() -> None:
    state, sizes = spec(1, 4, HIDDEN), (4, 3, 3, 1)
    settings = (3, HIDDEN, 0, 1, False, 0.0, True, False, sizes, None)
    args = (spec(11, INPUT), weights(3, 1, 1), 4, None, state, None, *settings)
    found = cost("aten._cudnn_rnn", *args, out=(spec(11, HIDDEN),))
    assert found.flops == 2 * 11 * 3 * HIDDEN * (INPUT + HIDDEN)
    assert (dict(found.dims)["steps"], dict(found.dims)["m"]) == (4, 3)  # 11 tokens over 4 steps, rounded up


@pytest.mark.parametrize("operator", ["lstm", "gru", "rnn_tanh", "rnn_relu", "quantized_lstm", "quantized_gru"])
def test_packed_sequences_take_as_many_steps_as_the_longest(operator: str) -> None:
    gates, lengths = {"lstm": 4, "gru": 3}.get(operator.removeprefix("quantized_"), 1), spec(5, dtype="int64")
    state = spec(2, 4, HIDDEN)
    hidden = (state, state) if gates == 4 else state
    args = (spec(13, INPUT), lengths, hidden, weights(gates, 1, 2), True, 1, 0.0, False, True)
    found = cost(f"aten.{operator}", *args, overload="data", out=(spec(13, 2 * HIDDEN), state))
    assert found.flops == 2 * 13 * 2 * gates * HIDDEN * (INPUT + HIDDEN)
    assert (dict(found.dims)["steps"], dict(found.dims)["m"]) == (2 * 5, 3)  # both directions; 13 over 5, rounded up


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("grad", [False, True])
def test_what_torch_runs_on_the_cpu_counts_the_same_products(kind: str, grad: bool) -> None:
    torch = pytest.importorskip("torch")
    module = getattr(torch.nn, kind)(INPUT, HIDDEN, num_layers=2, bidirectional=True)
    x = torch.randn(TIME, BATCH, INPUT)
    with torch.set_grad_enabled(grad):
        recorded = record(lambda: module(x))
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    cells = 2 * gates * HIDDEN * (INPUT + HIDDEN) + 2 * gates * HIDDEN * (2 * HIDDEN + HIDDEN)
    assert recorded.matrix_flops == 2 * TOKENS * cells


def test_onednn_backward_is_two_products_for_each_of_the_forward() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.LSTM(INPUT, HIDDEN)
    x = torch.randn(TIME, BATCH, INPUT)
    results: list[Any] = []
    recorded = record(lambda: results.append(module(x)[0]) or results[0].sum().backward())
    once = 2 * TOKENS * 4 * HIDDEN * (INPUT + HIDDEN)
    assert [found.flops for found in recorded.of("aten.mkldnn_rnn_layer")] == [once]
    assert [found.flops for found in recorded.of("aten.mkldnn_rnn_layer_backward")] == [2 * once]


@pytest.mark.parametrize(("operator", "gates"), [("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)])
def test_whole_layers_of_inference_mode(operator: str, gates: int) -> None:
    stack, state = weights(gates, 2, 2), spec(4, BATCH, HIDDEN)
    states = (state, state) if operator == "lstm" else state
    args = (states, stack, True, 2, 0.0, False, True, False)
    expected = 2 * TOKENS * 2 * gates * HIDDEN * (INPUT + HIDDEN + 2 * HIDDEN + HIDDEN)
    out = (spec(TIME, BATCH, 2 * HIDDEN), state)
    assert cost(f"aten.{operator}", spec(TIME, BATCH, INPUT), *args, overload="input", out=out).flops == expected
    packed = (spec(TOKENS, INPUT), spec(TIME, dtype="int64"), *args[:-1])
    assert cost(f"aten.{operator}", *packed, overload="data", out=out).flops == expected


def test_cells() -> None:
    x, state = spec(BATCH, INPUT), spec(BATCH, HIDDEN)
    args = (spec(4 * HIDDEN, INPUT), spec(4 * HIDDEN, HIDDEN), spec(4 * HIDDEN), spec(4 * HIDDEN))
    found = cost("aten.lstm_cell", x, (state, state), *args, out=(state, state))
    assert found.flops == 2 * BATCH * 4 * HIDDEN * (INPUT + HIDDEN)
    gates = spec(BATCH, 4 * HIDDEN)
    pointwise = cost("aten._thnn_fused_lstm_cell", gates, gates, state, out=(state, state, gates))
    assert pointwise.engine == "vector" and pointwise.flops == 22 * BATCH * HIDDEN
