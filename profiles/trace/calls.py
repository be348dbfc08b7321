"""From a dispatcher call to a torch-free `Call`: tensors become `TensorSpec`s, lists tuples, dtypes names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch

from profiles.formulas import Call, formula_of
from profiles.records import TensorSpec
from profiles.trace.packed import packed_in

_PLAIN = (int, float, bool, str, complex, type(None))


@lru_cache(maxsize=1 << 15)
def _spec(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> TensorSpec:
    # A stride of 0 repeats the same element: an expanded tensor holds fewer elements than its shape says.
    distinct = 1
    for size, step in zip(shape, stride, strict=True):
        distinct *= size if step else min(size, 1)
    return TensorSpec(tuple(shape), str(dtype).removeprefix("torch."), distinct)


def spec_of(tensor: torch.Tensor) -> TensorSpec:
    """Shape and type of a tensor; a sparse one holds as many elements as it stores values."""
    if tensor.layout is torch.strided:
        return _spec(tuple(tensor.shape), tensor.stride(), tensor.dtype)
    return TensorSpec(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), tensor._nnz() * _block(tensor))


def _block(tensor: torch.Tensor) -> int:
    """Elements of one stored value of a sparse tensor: 1, or more in hybrid and block layouts."""
    values = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
    return values.numel() // max(1, values.shape[0])


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor among the results or arguments of an operator, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def _plain(value: Any) -> object:
    if isinstance(value, torch.Tensor):
        return spec_of(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, torch.ScriptObject):
        return tuple(spec_of(tensor) for tensor in packed_in(value))
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    return str(value) if isinstance(value, (torch.device, torch.layout, torch.memory_format)) else type(value).__name__


@lru_cache(maxsize=1 << 12)
def operator_name(func: torch._ops.OpOverload) -> tuple[str, str]:
    """Return ("aten.mm", "default")."""
    namespace, name = func._schema.name.split("::")
    return f"{namespace}.{name}", func._overloadname


MOST_TENSORS = 16


def compact(tensors: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Long lists of tensors (all parameters at once in an optimizer) become one flat tensor per dtype."""
    if len(tensors) <= MOST_TENSORS:
        return tensors
    held: dict[str, tuple[int, int]] = {}
    for tensor in tensors:
        elements, stored = held.get(tensor.dtype, (0, 0))
        held[tensor.dtype] = (elements + math.prod(tensor.shape), stored + tensor.storage_elements)
    return tuple(TensorSpec((elements,), dtype, stored) for dtype, (elements, stored) in held.items())


def _sparse_name(operator: str) -> str:
    name = operator.replace("aten.", "sparse.", 1)
    return name if formula_of(name) is not None else operator


def call_of(
    func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: tuple[torch.Tensor, ...]
) -> Call:
    """Describe one call of one operator; with a sparse operand its name is "sparse.mm" instead of "aten.mm"."""
    operator, overload = operator_name(func)
    if any(tensor.layout is not torch.strided for tensor in tensors_in(args)):
        operator = _sparse_name(operator)
    named = tuple((name, _plain(value)) for name, value in kwargs.items())
    return Call(operator, overload, tuple(_plain(a) for a in args), named, tuple(spec_of(o) for o in outputs))
