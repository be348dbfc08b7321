"""Recurrent layers as the target device runs them: one cuDNN operator on CUDA, one oneDNN operator per layer on CPUs.

On symbolic tensors torch unrolls a recurrent layer into several operators per time step. CUDA instead calls cuDNN once
for all steps, layers and directions (aten/src/ATen/native/RNN.cpp, cudnn/RNN.cpp), and the CPU calls oneDNN once per
layer and direction of an LSTM (mkldnn/RNN.cpp); other cells are unrolled there too (`profiles.trace.recurrent_cpu`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch

from profiles.trace import recurrent_cpu

aten = torch.ops.aten
Tensor = torch.Tensor

_CELLS = {"rnn_relu": 0, "rnn_tanh": 1, "lstm": 2, "gru": 3}  # cudnnRNNMode_t
_LSTM = _CELLS["lstm"]


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Arguments of one recurrent layer; input [steps, batch, features], or [batch, steps, features] if `batch_first`.

    A packed sequence has its `batch_sizes` and an input of [sum of them, features].
    """

    cell: int
    input: Tensor
    hidden: Tensor
    state: Tensor | None
    weights: Sequence[Tensor]
    biased: bool
    layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool = False
    batch_sizes: tuple[int, ...] = ()

    @property
    def hidden_size(self) -> int:
        """Size of the cell; the output is smaller where an LSTM projects it."""
        return int((self.hidden if self.state is None else self.state).shape[-1])

    @property
    def projection(self) -> int:
        """Size of the projected output, 0 without projection."""
        size = int(self.hidden.shape[-1])
        return size if size != self.hidden_size else 0

    @property
    def weights_per_layer(self) -> int:
        """Weight tensors of one layer and direction."""
        return (4 if self.biased else 2) + (1 if self.projection else 0)


def cudnn_replacements(autocast_device: str) -> dict[str, Callable[..., Any]]:
    """Recurrent operators as one cuDNN call each, keyed by operator and overload."""

    def run(call: Recurrence) -> tuple[Tensor, ...]:
        if torch.is_autocast_enabled(autocast_device):
            call = _lowered(call, torch.get_autocast_dtype(autocast_device))
        return _cudnn(call)

    return _replacements(run, tuple(_CELLS))


def onednn_replacements(autocast_device: str) -> dict[str, Callable[..., Any]]:
    """Return the LSTM operator as oneDNN calls and other cells as a CPU unrolls them.

    Packed and projected ones stay as torch unrolls them on symbolic tensors.
    """

    def run(call: Recurrence) -> tuple[Tensor, ...]:
        if torch.is_autocast_enabled(autocast_device):
            call = _lowered(call, torch.get_autocast_dtype(autocast_device))
        return _onednn(call)

    padded = _Padded(_LSTM, run)

    def lstm(input: Tensor, hidden: Any, *rest: Any) -> Any:
        projected = hidden[0].shape[-1] != hidden[1].shape[-1]
        return aten.lstm.input.decompose(input, hidden, *rest) if projected else padded(input, hidden, *rest)

    return {"lstm.input": lstm, **{f"{name}.input": _Padded(_CELLS[name], run) for name, run in _unrolled().items()}}


def _unrolled() -> dict[str, Callable[[Recurrence], tuple[Tensor, ...]]]:
    cells = {"gru": recurrent_cpu.gru, "rnn_tanh": recurrent_cpu.rnn_tanh, "rnn_relu": recurrent_cpu.rnn_relu}
    return {name: partial(recurrent_cpu.unrolled, cell=cell) for name, cell in cells.items()}


def _replacements(
    run: Callable[[Recurrence], tuple[Tensor, ...]], cells: Sequence[str]
) -> dict[str, Callable[..., Any]]:
    replaced: dict[str, Callable[..., Any]] = {}
    for cell in cells:
        replaced[f"{cell}.input"] = _Padded(_CELLS[cell], run)
        replaced[f"{cell}.data"] = _Packed(_CELLS[cell], run)
    return replaced


@dataclass(frozen=True, slots=True)
class _Padded:
    cell: int
    run: Callable[[Recurrence], tuple[Tensor, ...]]

    def __call__(self, input: Tensor, hidden: Any, weights: Any, biased: bool, layers: int, *rest: Any) -> Any:
        dropout, train, bidirectional, batch_first = rest
        first, second = hidden if self.cell == _LSTM else (hidden, None)
        options = (biased, layers, dropout, train, bidirectional, batch_first)
        return self.run(Recurrence(self.cell, input, first, second, weights, *options))


@dataclass(frozen=True, slots=True)
class _Packed:
    cell: int
    run: Callable[[Recurrence], tuple[Tensor, ...]]

    def __call__(self, data: Tensor, batch_sizes: Tensor, hidden: Any, weights: Any, biased: bool, *rest: Any) -> Any:
        layers, dropout, train, bidirectional = rest
        first, second = hidden if self.cell == _LSTM else (hidden, None)
        options = (biased, layers, dropout, train, bidirectional, False, tuple(batch_sizes.tolist()))
        return self.run(Recurrence(self.cell, data, first, second, weights, *options))


def _lowered(call: Recurrence, dtype: torch.dtype) -> Recurrence:
    """The recurrence in the lower precision of autocast, its weights cast with it."""
    return Recurrence(
        call.cell,
        call.input.to(dtype),
        call.hidden.to(dtype),
        None if call.state is None else call.state.to(dtype),
        [weight.to(dtype) for weight in call.weights],
        *(call.biased, call.layers, call.dropout, call.train, call.bidirectional, call.batch_first, call.batch_sizes),
    )


def _cudnn(call: Recurrence) -> tuple[Tensor, ...]:
    # cuDNN reads the weights from one buffer, of which the parameters are views: it is no further memory.
    buffer = call.weights[0].detach()
    output, hidden, state, _, _ = aten._cudnn_rnn(
        call.input,
        list(call.weights),
        call.weights_per_layer,
        buffer,
        call.hidden,
        call.state,
        call.cell,
        call.hidden_size,
        call.projection,
        call.layers,
        call.batch_first,
        call.dropout,
        call.train,
        call.bidirectional,
        list(call.batch_sizes),
        None,
    )
    return (output, hidden, state) if call.cell == _LSTM else (output, hidden)


def _onednn(call: Recurrence) -> tuple[Tensor, ...]:
    layer_input = call.input.transpose(0, 1).contiguous() if call.batch_first else call.input
    directions = 2 if call.bidirectional else 1
    weights = iter(call.weights)
    hidden, states = [], []
    for layer in range(call.layers):
        rows = range(layer * directions, (layer + 1) * directions)
        runs = [
            _onednn_layer(call, layer_input, tuple(islice(weights, call.weights_per_layer)), row, way == 1)
            for way, row in enumerate(rows)
        ]
        layer_input = torch.cat([run[0] for run in runs], -1) if call.bidirectional else runs[0][0]
        hidden += [run[1] for run in runs]
        states += [run[2] for run in runs]
        if call.dropout and call.train and layer < call.layers - 1:
            layer_input = torch.dropout(layer_input, call.dropout, call.train)
    output = layer_input.transpose(0, 1) if call.batch_first else layer_input
    return output, torch.stack(hidden), torch.stack(states)


def _onednn_layer(call: Recurrence, input: Tensor, weights: Sequence[Tensor], row: int, reverse: bool) -> Any:
    if not call.biased:
        # aten/src/ATen/native/mkldnn/RNN.cpp, mkldnn_rnn: as large as the weights, though no more than a row is used.
        zeros = (torch.zeros(weight.shape, dtype=input.dtype, device=input.device).select(1, 0) for weight in weights)
        weights = (*weights, *zeros)
    assert call.state is not None
    hidden, state = call.hidden.select(0, row), call.state.select(0, row)
    shape = (call.cell, call.hidden_size, call.layers, True, call.bidirectional, call.batch_first, call.train)
    return aten.mkldnn_rnn_layer(input, *weights, hidden, state, reverse, [], *shape)
