"""What the recurrent operators of cuDNN and oneDNN return, with their workspaces, which torch leaves out on meta."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

Tensor = torch.Tensor

# What the backward pass of one time step needs besides inputs and outputs, in hidden sizes: the gates, and the cell
# state of an LSTM. cuDNN does not publish the size of its reserve space, so this is a lower bound for it.
# Keys are cudnnRNNMode_t: relu, tanh, LSTM, GRU.
_RESERVED = {0: 1, 1: 1, 2: 5, 3: 4}

_PAGE = 4096
_LINE = 16  # floats in a cache line of 64 bytes
_FLOAT = 4


def recurrent_kernels() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield operators with the functions that stand in for them on meta tensors."""
    yield "_cudnn_rnn", _cudnn
    yield "_cudnn_rnn_backward", _cudnn_backward
    yield "mkldnn_rnn_layer", _onednn
    yield "mkldnn_rnn_layer_backward", _onednn_backward


def _cudnn(*args: Any) -> tuple[Tensor, ...]:
    input, _, _, buffer, hidden, state, cell, hidden_size = args[:8]
    layers, batch_first, train, bidirectional, batch_sizes = args[9], args[10], args[12], args[13], args[14]
    directions = 2 if bidirectional else 1
    output = input.new_empty((*input.shape[:-1], hidden.shape[-1] * directions))
    batch = batch_sizes[0] if batch_sizes else input.shape[0 if batch_first else 1]
    steps = math.prod(input.shape[:-1])
    last = hidden.new_empty((layers * directions, batch, hidden.shape[-1]))
    last_state = input.new_empty(0) if state is None else state.new_empty((layers * directions, batch, hidden_size))
    reserved = steps * layers * directions * hidden_size * _RESERVED[cell] * input.element_size() if train else 0
    return output, last, last_state, input.new_empty(reserved, dtype=torch.uint8), buffer


def _cudnn_backward(*args: Any) -> tuple[Any, ...]:
    input, weights, hidden, state, wanted = args[0], args[1], args[4], args[5], args[-1]
    gradients = [torch.empty_like(weight) for weight in weights] if wanted[3] else []
    return (
        torch.empty_like(input) if wanted[0] else None,
        torch.empty_like(hidden) if wanted[1] else None,
        torch.empty_like(state) if wanted[2] and state is not None else None,
        gradients,
    )


def _onednn(*args: Any) -> tuple[Tensor, ...]:
    input, hidden, state, hidden_size, train = args[0], args[5], args[6], args[10], args[15]
    output = input.new_empty((*input.shape[:-1], hidden_size))
    steps, batch, features = input.shape
    size = lstm_workspace_bytes(steps, batch, features, hidden_size) if train else 0
    workspace = input.new_empty(size, dtype=torch.uint8)
    return output, torch.empty_like(hidden), torch.empty_like(state), workspace


def _onednn_backward(*args: Any) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(tensor) for tensor in args[:7])


def lstm_workspace_bytes(steps: int, batch: int, features: int, hidden: int) -> int:
    """Bytes that oneDNN keeps from the forward pass of one LSTM layer in float32 for its backward pass.

    Arrays of whole pages: the gates, three of layer inputs and hidden states, two of cell states (all with a row for
    the time before the first step, and one for the layer before the first), and one of hidden outputs. The layout was
    inferred from 16 measured sizes, which it meets to the byte (torch 2.13, x86-64).
    """
    rows, states = steps * batch, 2 * (steps + 1) * batch
    arrays = [rows * _padded(4 * hidden), rows * _padded(hidden)]
    arrays += 3 * [states * _padded(max(features, hidden))] + 2 * [states * hidden]
    return sum(-(-elements * _FLOAT // _PAGE) * _PAGE for elements in arrays)


def _padded(length: int) -> int:
    """Row length of an array: whole cache lines, one more where rows would fall onto the same cache sets."""
    lines = -(-length // _LINE) * _LINE
    return lines + _LINE if lines % 256 == 0 else lines
