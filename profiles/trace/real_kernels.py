"""Kernels of an accelerator in a real run on the CPU: the operators that it would call, with values from other ones.

Where values decide what is computed a model is run for real, on CPU tensors. The fused operators of an accelerator do
not exist there. They get a kernel that computes their result by other means, so that the calls, their sizes and what
they keep for the backward pass are those of the accelerator. Gradients decide nothing: theirs are zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map

aten = torch.ops.aten
Tensor = torch.Tensor
Kernel = Callable[..., Any]

_ATTENTION = ("_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention")
_CELLS = (aten.rnn_relu, aten.rnn_tanh, aten.lstm, aten.gru)
"""By cuDNN's mode."""
_LSTM = 2


def real_kernels() -> Iterator[tuple[str, Kernel]]:
    """Yield operators that only accelerators have, with functions that run them on CPU tensors."""
    yield _ATTENTION[0], _with_values(aten._scaled_dot_product_flash_attention.default, _flash)
    yield _ATTENTION[1], _with_values(aten._scaled_dot_product_efficient_attention.default, _efficient)
    yield "_cudnn_rnn", _with_values(aten._cudnn_rnn.default, _recurrent)
    for name in (*_ATTENTION, "_cudnn_rnn"):
        yield f"{name}_backward", _with_values(getattr(aten, f"{name}_backward").default, lambda *args, **kwargs: ())


def _with_values(operator: Any, compute: Callable[..., tuple[Tensor, ...]]) -> Kernel:
    """Results as large as the operator makes them, the first of them as computed, the others zeros."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        given: dict[int, Tensor] = {}

        def symbolic(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            twin = value.to("meta")
            given[id(twin)] = value
            return twin

        symbols = (*tree_map(symbolic, args),), tree_map(symbolic, kwargs)
        outputs = tree_map(lambda value: _zeros(value, given), operator(*symbols[0], **symbols[1]))
        for output, values in zip(outputs, compute(*args, **kwargs), strict=False):
            output.copy_(values)
        return outputs

    return kernel


def _zeros(value: Any, given: dict[int, Tensor]) -> Any:
    if not isinstance(value, Tensor):
        return value
    if id(value) in given:
        return given[id(value)]
    return torch.zeros(value.shape, dtype=value.dtype, device="cpu").as_strided(value.shape, value.stride())


def _flash(*args: Any, **kwargs: Any) -> tuple[Tensor]:
    """Take (query, key, value, dropout, causal, debug; scale)."""
    return _attend(*args[:3], None, *_options(args[3:5]), kwargs.get("scale"))


def _efficient(*args: Any, **kwargs: Any) -> tuple[Tensor]:
    """Take (query, key, value, bias, log-sum-exp wanted, dropout, causal; scale)."""
    return _attend(*args[:4], *_options(args[5:7]), kwargs.get("scale"))


def _options(given: tuple[Any, ...]) -> tuple[float, bool]:
    """Dropout and whether it is causal; what is left out has its default."""
    return (given[0] if given else 0.0), (given[1] if len(given) > 1 else False)


def _attend(*args: Any) -> tuple[Tensor]:
    """Take (query, key, value, bias, dropout, causal, scale)."""
    query, key = args[:2]
    grouped = query.shape[-3] != key.shape[-3]
    found = aten._scaled_dot_product_attention_math(*args[:6], None, scale=args[6], enable_gqa=grouped)
    return (found[0],)


def _recurrent(*args: Any) -> tuple[Tensor, ...]:
    input, weights, per_layer, _, hidden, state, cell, _, projection, layers = args[:10]
    batch_first, dropout, train, bidirectional, batch_sizes = args[10:15]
    biased = per_layer - bool(projection) == 4
    states = (hidden, state) if cell == _LSTM else hidden
    if batch_sizes:
        sizes = torch.tensor(batch_sizes, device="cpu")
        found = _CELLS[cell].data(input, sizes, states, weights, biased, layers, dropout, train, bidirectional)
    else:
        found = _CELLS[cell].input(input, states, weights, biased, layers, dropout, train, bidirectional, batch_first)
    return tuple(found)
