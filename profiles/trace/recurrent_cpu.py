"""Recurrent cells as the CPU unrolls them: inputs of all steps multiplied at once, then cell by cell.

After FullLayer, FullBidirectionalLayer, GRUCell and SimpleCell of aten/src/ATen/native/RNN.cpp (torch 2.13): on a CPU
these multiply before they unroll, on other devices step by step, and symbolic tensors are no CPU's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from profiles.trace.recurrent import Recurrence

Tensor = torch.Tensor
Cell = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From what was multiplied of the input, what was multiplied of the hidden state, and that state to the next one."""


def gru(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    """Return the next hidden state: reset, input and new gate (Cho et al., 2014, arXiv:1406.1078)."""
    given, known = torch.unsafe_chunk(from_input, 3, 1), torch.unsafe_chunk(from_hidden, 3, 1)
    reset = known[0].add_(given[0]).sigmoid_()
    share = known[1].add_(given[1]).sigmoid_()
    new = given[2].add(known[2].mul_(reset)).tanh_()
    return (hidden - new).mul_(share).add_(new)


def rnn_tanh(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    """Return the next hidden state of a plain cell (Elman, 1990)."""
    return torch.tanh(from_hidden.add_(from_input))


def rnn_relu(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    """Return the next hidden state of a plain cell with ReLU."""
    return torch.relu(from_hidden.add_(from_input))


def unrolled(call: Recurrence, cell: Cell) -> tuple[Tensor, Tensor]:
    """Return output and last hidden states of all layers and directions."""
    inputs = call.input.transpose(0, 1) if call.batch_first else call.input
    directions = 2 if call.bidirectional else 1
    each, finals = call.weights_per_layer, []
    for layer in range(call.layers):
        rows = range(layer * directions, (layer + 1) * directions)
        runs = [
            _layer(inputs, call.hidden.select(0, row), call.weights[row * each : (row + 1) * each], way == 1, cell)
            for way, row in enumerate(rows)
        ]
        inputs = torch.cat([outputs for outputs, _ in runs], -1) if call.bidirectional else runs[0][0]
        finals += [final for _, final in runs]
        if call.dropout and call.train and layer < call.layers - 1:
            inputs = torch.dropout(inputs, call.dropout, call.train)
    return inputs.transpose(0, 1) if call.batch_first else inputs, torch.stack(finals)


def _layer(
    inputs: Tensor, hidden: Tensor, weights: Sequence[Tensor], reverse: bool, cell: Cell
) -> tuple[Tensor, Tensor]:
    """Return (outputs of all steps, last hidden state) of one layer in one direction."""
    into, between, *biases = weights
    into_bias, between_bias = biases or (None, None)
    steps = torch.nn.functional.linear(inputs, into, into_bias).unbind(0)
    outputs = []
    for step in reversed(steps) if reverse else steps:
        hidden = cell(step, torch.nn.functional.linear(hidden, between, between_bias), hidden)
        outputs.append(hidden)
    return torch.stack(outputs[::-1] if reverse else outputs, 0), hidden
