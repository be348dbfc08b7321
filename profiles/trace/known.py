"""What is known of a call from an earlier equal one: equal layers make equal calls, so most are worked out only once.

Working out the shape of a result takes torch some hundred microseconds on meta tensors, because many of its operators
are Python there. A call that does not depend on values is decided by the types and layouts of its arguments: the second
time, empty results are made at once, and the description and the cost of the call are those of the first time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from profiles.formulas import Call, Cost, cost_of, formula_of, view_cost
from profiles.records import TensorSpec
from profiles.trace.calls import call_of, compact, tensors_in
from profiles.trace.ledger import storages_of
from profiles.trace.values import ASKS_FOR_VALUES, MASKED, may_be_followed

_VIEWS = frozenset(
    {"detach", "detach_", "_unsafe_view", "lift_fresh", "_reshape_alias", "alias", "is_same_size",
     "unsafe_split", "unsafe_split_with_sizes"}
)  # fmt: skip
_TYPES = (int, float, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)
MOST_CALLS = 1 << 16


class _NotEqual(Exception):
    """An argument that says nothing about whether two calls are equal."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All that decides an empty tensor; `padded` are the elements of a storage that is larger than the tensor."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    padded: int | None = None

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Layout:
        """Layout of a tensor."""
        shape, stride = tuple(tensor.shape), tensor.stride()
        needed = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if tensor.numel() else 0
        held = tensor.untyped_storage().nbytes() // tensor.element_size()
        return cls(shape, stride, tensor.dtype, tensor.device, held if held > needed else None)

    def empty(self) -> torch.Tensor:
        """Return a new tensor of this layout."""
        if self.padded is None:
            return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)
        whole = torch.empty(self.padded, dtype=self.dtype, device=self.device)
        return whole.as_strided(self.shape, self.stride)


@dataclass(frozen=True, slots=True)
class Known:
    """One call, described.

    result    how to make the result again: a `Layout` per tensor; None where it has to be run
    in_place  whether the result is the first argument itself, its layout unchanged
    silent    whether arguments were written to and nothing came back
    follow    whether the values of the result are followed
    view      whether the result is another look at an argument
    """

    call: Call
    cost: Cost
    formula: object
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    view: bool
    follow: bool
    in_place: bool = False
    silent: bool = False
    result: Any = None

    @property
    def current(self) -> bool:
        """Whether the operator's formula is still the one that the cost came from."""
        return self.formula is formula_of(self.call.operator)


def key_of(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable | None:
    """Equal for calls that differ in values alone; None for a call that has to be run each time."""
    if func._overloadpacket in ASKS_FOR_VALUES or (func._overloadpacket in MASKED and _has_mask(args[1])):
        return None
    try:
        return func, _key(args), tuple((name, _key(value)) for name, value in kwargs.items())
    except _NotEqual:
        return None


def _has_mask(indices: Any) -> bool:
    """Whether values decide how much is indexed."""
    return any(isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _key(value: Any) -> Hashable:
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_conj() or value.is_neg():
            raise _NotEqual
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, (tuple, list)):
        return tuple([_key(item) for item in value])
    if isinstance(value, _TYPES):
        return value.__class__, value  # 1, 1.0 and True are equal but not the same argument
    raise _NotEqual


def describe(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> Known:
    """Describe a call that has been run."""
    outputs = tuple(tensors_in(out))
    call = call_of(func, args, kwargs, outputs)
    view = _is_view(func)
    symbolic = _is_symbolic(outputs or tuple(tensors_in(args)))
    in_place = bool(args) and out is args[0] and torch.Tag.inplace_view not in func.tags and not view
    return Known(
        call=call,
        cost=view_cost(call) if view else cost_of(call),
        formula=formula_of(call.operator),
        inputs=compact(call.inputs),
        outputs=compact(call.outputs),
        view=view,
        follow=may_be_followed(func, outputs),
        in_place=in_place and symbolic,
        silent=out is None and symbolic and func._schema.is_mutable,
        result=_layouts(out) if symbolic and not view and _is_functional(func) and not _shares(outputs, args) else None,
    )


def _shares(outputs: tuple[torch.Tensor, ...], args: tuple[Any, ...]) -> bool:
    """Whether a result is no new memory, whatever the schema says (cuDNN gives back the weights that it was given)."""
    given = {storage._cdata for storage in storages_of(tensors_in(args))}
    return any(storage._cdata in given for storage in storages_of(outputs))


def _is_symbolic(tensors: tuple[torch.Tensor, ...]) -> bool:
    """Whether there are no values that a call would have to work on; the host's own small tensors have some."""
    return bool(tensors) and all(tensor.device.type == "meta" for tensor in tensors)


@lru_cache(maxsize=1 << 12)
def _is_view(func: Any) -> bool:
    return bool(func.is_view) or func._overloadpacket.__name__ in _VIEWS


@lru_cache(maxsize=1 << 12)
def _is_functional(func: Any) -> bool:
    """Whether the operator neither writes to its arguments nor returns parts of them, as its schema says."""
    schema = func._schema
    return func.namespace == "aten" and not any(a.alias_info for a in (*schema.arguments, *schema.returns))


def _layouts(out: Any) -> Any:
    if isinstance(out, torch.Tensor):
        if out.layout is not torch.strided or out.is_conj() or out.is_neg():
            return None
        return Layout.of(out)
    if isinstance(out, (tuple, list)):
        parts = [_layouts(item) for item in out]
        missing = any(part is None and item is not None for part, item in zip(parts, out, strict=True))
        return None if missing else type(out)(parts)
    return out


def make(result: Any) -> Any:
    """Empty tensors in place of layouts."""
    if isinstance(result, Layout):
        return result.empty()
    if isinstance(result, (tuple, list)):
        return type(result)([make(part) for part in result])
    return result
