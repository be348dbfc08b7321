"""Shapes of results for operators that torch cannot run on meta tensors, or only for some types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from profiles.trace.recurrent_shapes import recurrent_kernels
from profiles.trace.values import values_of

Tensor = torch.Tensor

_FUSED_OPTIMIZERS = ("_fused_adam_", "_fused_adamw_", "_fused_sgd_", "_fused_adagrad_")


def meta_kernels() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield operators with the functions that stand in for them on meta tensors."""
    yield from recurrent_kernels()
    yield "_grouped_mm", _grouped_mm
    yield "_weight_int4pack_mm", _int4pack_mm
    for overload in ("", ".Tensor"):
        yield f"_ctc_loss{overload}", _ctc_loss
        yield f"_ctc_loss_backward{overload}", _ctc_loss_backward
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


def _int4pack_mm(rows: Tensor, packed: Tensor, group: int, scales: Tensor) -> Tensor:
    """Columns are packed in tiles of 8 (aten/src/ATen/native/cuda/int4mm.cu)."""
    return rows.new_empty((rows.shape[0], packed.shape[0] * 8))


def _ctc_loss(scores: Tensor, targets: Tensor, scored: Any, labelled: Any, *rest: Any) -> tuple[Tensor, Tensor]:
    """Losses (batch,) and alphas (batch, time, 2 x longest target + 1) (aten/src/ATen/native/cuda/LossCTC.cu)."""
    lengths = values_of(labelled) if isinstance(labelled, Tensor) else torch.tensor(labelled, device="cpu")
    longest = targets.shape[-1] if lengths is None else int(lengths.max())
    batch = scores.shape[1]
    return scores.new_empty(batch), scores.new_empty((batch, scores.shape[0], 2 * longest + 1))


def _ctc_loss_backward(gradient: Tensor, scores: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(scores)
