"""Recurrent layers in one kernel, and the element-wise cells that are left where the products run on their own.

Every weight matrix (input, recurrent, projection; each layer and direction) is multiplied once with every token, so a
layer is 2 x tokens x elements of its matrices. Backward takes the same again for the gradients of the data (less the
first layer's input matrices where the input needs no gradient) and once more for those of the weights. The gates are
`vector_flops`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from profiles.formulas.call import Call, Cost, elements, flatten
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, products_cost, unknown_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.records import TensorSpec

_GATES_OF_MODE = MappingProxyType({0: 1, 1: 1, 2: 4, 3: 3})
"""Gates by cuDNN's mode: ReLU, tanh, LSTM, GRU."""

CELL_FLOPS: Mapping[int, tuple[int, int, int]] = MappingProxyType({1: (2, 2, 3), 4: (22, 8, 22), 3: (16, 6, 16)})
"""FLOPs per hidden element by number of gates: forward without biases, more with them, backward.

RNN: sum of the two products, tanh. LSTM (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735): four sums,
three sigmoids of 4, two tanh, state 3, output 1. GRU (Cho et al. 2014, arXiv:1406.1078) as cuDNN has it: three sums,
reset 1, two sigmoids of 4, tanh, state 3. Backward: each gate's gradient by the product rule.
"""


@dataclass(frozen=True, slots=True)
class _Layers:
    """A stack of recurrent layers: all tokens, steps in time, weights in torch's order, layers x directions."""

    tokens: int
    steps: int
    weights: tuple[TensorSpec, ...]
    gates: int
    directions: int
    cells: int

    @property
    def per_step(self) -> int:
        """Tokens of a step; of packed sequences, of which fewer and fewer go on, the mean, rounded up."""
        return -(-self.tokens // max(self.steps, 1))

    @property
    def matrices(self) -> tuple[TensorSpec, ...]:
        """The weights that are no biases, cell by cell: input, recurrent, projection."""
        return tuple(weight for weight in self.weights if len(weight.shape) == 2)

    @property
    def input_matrices(self) -> tuple[TensorSpec, ...]:
        """The matrices that the input of the whole stack is multiplied with: the first of each direction."""
        per_cell = len(self.matrices) // self.cells
        return self.matrices[: per_cell * self.directions : per_cell]

    @property
    def hidden(self) -> int:
        """Hidden size."""
        return self.weights[0].shape[0] // self.gates

    def multiply_adds(self, matrices: tuple[TensorSpec, ...]) -> int:
        """Multiply-adds of these matrices with every token."""
        return self.tokens * sum(elements(matrix) for matrix in matrices)

    def gate_flops(self, per_element: int) -> int:
        """Vector work of all cells."""
        return self.tokens * self.cells * self.hidden * per_element


def _cost(call: Call, layers: _Layers, multiply_adds: int, gate_flops: int) -> Cost:
    """Cost with the dims of the recurrent product, which runs step by step."""
    recurrent = Product(layers.per_step, layers.gates * layers.hidden, layers.hidden)
    cost = products_cost(call, (recurrent,), "rnn")
    dims = (*recurrent.dims, ("steps", layers.steps * layers.cells), ("vector_flops", layers.gate_flops(gate_flops)))
    flops = 2 * multiply_adds
    return replace(cost, flops=flops, model_flops=flops, executed_flops=flops, dims=dims)


def _forward(call: Call, layers: _Layers) -> Cost:
    """Every matrix once."""
    without_biases, biases, _ = CELL_FLOPS[layers.gates]
    has_biases = len(layers.weights) > len(layers.matrices)
    gate_flops = without_biases + biases * has_biases
    return _cost(call, layers, layers.multiply_adds(layers.matrices), gate_flops)


def _backward(call: Call, layers: _Layers, by_input: bool, by_weight: bool) -> Cost:
    """Every matrix once for the data, once for the weights; `executed_flops` has the input's in any case.

    cuDNN and oneDNN have no way to leave the gradient by the input out.
    """
    every = layers.multiply_adds(layers.matrices)
    unneeded = 0 if by_input else layers.multiply_adds(layers.input_matrices)
    cost = _cost(call, layers, every * (1 + by_weight) - unneeded, CELL_FLOPS[layers.gates][2])
    return replace(cost, executed_flops=cost.flops + 2 * unneeded)


@dataclass(frozen=True, slots=True)
class _Signature:
    """Positions of the arguments of a cuDNN-like operator; weights and input are 1 and 0 in all of them."""

    mode: int
    layers: int
    batch_first: int
    bidirectional: int
    batch_sizes: int


_CUDNN = _Signature(6, 9, 10, 13, 14)
_CUDNN_BACKWARD = _Signature(10, 13, 14, 17, 18)
_MIOPEN = _Signature(5, 7, 8, 11, 12)
_MIOPEN_BACKWARD = _Signature(10, 12, 13, 16, 17)


def _stack(call: Call, signature: _Signature) -> _Layers:
    """Layers of a cuDNN-like operator."""
    inputs, batch_sizes = call.tensor(0), call.integers(signature.batch_sizes, "batch_sizes")
    directions = 1 + call.flag(signature.bidirectional, "bidirectional")
    time = 1 if call.flag(signature.batch_first, "batch_first") else 0
    steps = len(batch_sizes) or inputs.shape[time]
    gates = _GATES_OF_MODE[call.integer(signature.mode, "mode")]
    cells = call.integer(signature.layers, "num_layers") * directions
    return _Layers(size(inputs.shape[:-1]), steps, call.tensors(1, "weight"), gates, directions, cells)


@register_formula("aten._cudnn_rnn", "aten.miopen_rnn")
def cudnn_rnn(call: Call) -> Cost:
    """All layers and directions in one call."""
    return _forward(call, _stack(call, _CUDNN if "cudnn" in call.operator else _MIOPEN))


_MASK = {"aten._cudnn_rnn_backward": 21, "aten.miopen_rnn_backward": 20}


@register_formula(*_MASK)
def cudnn_rnn_backward(call: Call) -> Cost:
    """The output mask is (input, hx, cx, weights)."""
    by_input, _, _, by_weight = call.flags(_MASK[call.operator], "output_mask")
    signature = _CUDNN_BACKWARD if "cudnn" in call.operator else _MIOPEN_BACKWARD
    return _backward(call, _stack(call, signature), by_input, by_weight)


def _single(call: Call, mode: int, weights: tuple[TensorSpec, ...]) -> _Layers:
    """One layer in one direction, (time, batch, channels)."""
    inputs = call.tensor(0)
    return _Layers(size(inputs.shape[:-1]), size(inputs.shape[:-2]), weights, _GATES_OF_MODE[mode], 1, 1)


@register_formula("aten.mkldnn_rnn_layer")
def mkldnn_rnn_layer(call: Call) -> Cost:
    """(input, w_ih, w_hh, b_ih, b_hh, hx, cx, reverse, batch_sizes, mode, ...)."""
    weights = tuple(call.tensor(position) for position in ((1, 2, 3, 4) if call.flag(12, "has_biases") else (1, 2)))
    return _forward(call, _single(call, call.integer(9, "mode"), weights))


@register_formula("aten.mkldnn_rnn_layer_backward")
def mkldnn_rnn_layer_backward(call: Call) -> Cost:
    """(input, w_ih, w_hh, b_ih, b_hh, hx, cx, output, hy, cy, three gradients, reverse, mode, ...): all gradients."""
    layers = _single(call, call.integer(14, "mode"), (call.tensor(1), call.tensor(2)))
    return _backward(call, layers, by_input=True, by_weight=True)


_WHOLE_GATES = {"aten.lstm": 4, "aten.gru": 3, "aten.rnn_tanh": 1, "aten.rnn_relu": 1}


@register_formula(*_WHOLE_GATES)
def whole_rnn(call: Call) -> Cost:
    """(input, hx, params, ...) or, packed, (data, batch_sizes, hx, params, ...), as it arrives in inference mode."""
    packed = 1 if call.overload == "data" else 0
    return _forward(call, _whole(call, packed, call.tensors(2 + packed, "params"), _WHOLE_GATES[call.operator]))


def _whole(call: Call, packed: int, params: tuple[TensorSpec, ...], gates: int) -> _Layers:
    """Layers of an operator whose arguments after the first stand `packed` places further on."""
    tokens = size(call.tensor(0).shape[:-1])
    first = call.tensor(1, "batch_sizes") if packed else call.tensors(1, "hx")[0]
    steps = first.shape[0] if packed else tokens // max(first.shape[-2], 1)
    directions = 1 + call.flag(7 + packed, "bidirectional")
    return _Layers(tokens, steps, params, gates, directions, call.integer(4 + packed, "num_layers") * directions)


_QUANTISED_GATES = {"aten.quantized_lstm": 4, "aten.quantized_gru": 3}


@register_formula(*_QUANTISED_GATES)
def quantised_rnn(call: Call) -> Cost:
    """(input, hx, packed cells, has_biases, layers, dropout, train, bidirectional, ...), or packed sequences."""
    packed = 1 if call.overload.startswith("data") else 0
    params = call.tensors(2 + packed, "params")
    if not params:
        return unknown_cost(call)
    return _forward(call, _whole(call, packed, params, _QUANTISED_GATES[call.operator]))


_QUANTISED_CELL_GATES = {
    "quantized.quantized_lstm_cell_dynamic": 4,
    "quantized.quantized_gru_cell_dynamic": 3,
    "quantized.quantized_rnn_tanh_cell_dynamic": 1,
    "quantized.quantized_rnn_relu_cell_dynamic": 1,
}


@register_formula(*_QUANTISED_CELL_GATES)
def quantised_cell(call: Call) -> Cost:
    """(input, hx, packed w_ih, packed w_hh, b_ih, b_hh): one step of one layer."""
    tokens = size(call.tensor(0).shape[:-1])
    weights = tuple(flatten(call.args[2:4]))
    if not weights:
        return unknown_cost(call)
    return _forward(call, _Layers(tokens, 1, weights, _QUANTISED_CELL_GATES[call.operator], 1, 1))


_CELL_GATES = {"aten.lstm_cell": 4, "aten.gru_cell": 3, "aten.rnn_tanh_cell": 1, "aten.rnn_relu_cell": 1}


@register_formula(*_CELL_GATES)
def whole_cell(call: Call) -> Cost:
    """(input, hx, w_ih, w_hh, b_ih, b_hh): one step of one layer, as it arrives in inference mode."""
    tokens = size(call.tensor(0).shape[:-1])
    weights = tuple(weight for position in range(2, 6) if (weight := call.optional_tensor(position)))
    return _forward(call, _Layers(tokens, 1, weights, _CELL_GATES[call.operator], 1, 1))


@register_formula("aten._thnn_fused_lstm_cell", "aten._thnn_fused_gru_cell")
def fused_cell(call: Call) -> Cost:
    """(input gates, hidden gates, state, biases): the gates alone, the products have run."""
    without_biases, biases, _ = CELL_FLOPS[4 if "lstm" in call.operator else 3]
    per_element = without_biases + biases * (call.optional_tensor(3) is not None)
    return vector_cost(call, "rnn", per_element * elements(call.tensor(2)))


_CELL_BACKWARD = {
    "aten._thnn_fused_lstm_cell_backward": 4,
    "aten._thnn_fused_lstm_cell_backward_impl": 4,
    "aten._thnn_differentiable_lstm_cell_backward": 4,
    "aten._thnn_fused_gru_cell_backward": 3,
    "aten._thnn_differentiable_gru_cell_backward": 3,
}


@register_formula(*_CELL_BACKWARD)
def fused_cell_backward(call: Call) -> Cost:
    """Gradients of the gates; the first gradient or the state tells the number of hidden elements."""
    state = next(tensor for tensor in call.inputs)
    return vector_cost(call, "rnn", CELL_FLOPS[_CELL_BACKWARD[call.operator]][2] * elements(state))
