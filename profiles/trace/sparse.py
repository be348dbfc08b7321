"""Sparse gradients of embeddings on tensors without values, where torch has no shape functions or loses the elements.

With `sparse=True` the gradient of an embedding is a sparse tensor of as many rows as were looked up; an optimizer
copies it and adds it to the dense weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

aten = torch.ops.aten

_BAG: Final = ("grad", "indices", "offsets", "offset2bag", "bag_size", "maximum_indices", "num_weights")
_SPARSE: Final = 9
"""Place of the flag `sparse` among the arguments of `_embedding_bag_backward` (native_functions.yaml)."""


def sparse_kernel(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Callable[[], torch.Tensor] | None:
    """Return what makes the result of an operator on sparse tensors; None where torch's own shape function does."""
    packet = func._overloadpacket
    if packet is aten.clone and _is_sparse(args[0]):
        return lambda: _copied(args[0])
    if packet is aten.add_ and not _is_sparse(args[0]) and _is_sparse(args[1]):
        return lambda: _tensor(args[0])
    if packet is aten._embedding_bag_backward and len(args) > _SPARSE and args[_SPARSE]:
        named = dict(zip(_BAG, args, strict=False))
        return lambda: _rows(named["grad"], named["indices"], named["num_weights"])
    return None


def _is_sparse(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.sparse_coo


def _tensor(value: Any) -> torch.Tensor:
    found: torch.Tensor = value
    return found


def _copied(sparse: torch.Tensor) -> torch.Tensor:
    return _of(sparse._indices().clone(), sparse._values().clone(), sparse.shape)


def _rows(gradient: torch.Tensor, indices: torch.Tensor, rows: int) -> torch.Tensor:
    """Gradient of a table of so many rows: a row for each index."""
    width = gradient.shape[-1]
    return _of(indices.reshape(1, -1), gradient.new_empty((indices.numel(), width)), (rows, width))


def _of(indices: torch.Tensor, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=False)
