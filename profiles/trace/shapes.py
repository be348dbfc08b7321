"""Shapes of results for operators that torch cannot run on meta tensors, or only for some types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from profiles.trace.recurrent_shapes import recurrent_kernels

Tensor = torch.Tensor

_FUSED_OPTIMIZERS = ("_fused_adam_", "_fused_adamw_", "_fused_sgd_", "_fused_adagrad_")


def meta_kernels() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield operators with the functions that stand in for them on meta tensors."""
    yield from recurrent_kernels()
    yield "_grouped_mm", _grouped_mm
    for name in _FUSED_OPTIMIZERS:
        yield name, _nothing


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Operators that change their arguments and return nothing."""


def _grouped_mm(
    left: Tensor,
    right: Tensor,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """Products of groups of rows (or columns); torch's own function insists on bfloat16, real kernels do not."""
    shape: tuple[int, ...] = (left.shape[-2], right.shape[-1])
    if left.dim() == right.dim():
        groups = left.shape[0] if left.dim() == 3 else offs.shape[0] if offs is not None else 1
        shape = (groups, *shape)
    return left.new_empty(shape, dtype=out_dtype or left.dtype)
