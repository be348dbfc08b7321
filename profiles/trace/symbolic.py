"""How an operator is run on tensors without values: by torch's shape functions, except where values are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from profiles.trace.sparse import sparse_kernel
from profiles.trace.values import ASKS_FOR_VALUES, MASKED, ValueNeeded, Values, values_of

aten = torch.ops.aten

_REDUCTIONS = frozenset({"_foreach_norm", "_foreach_max", "_foreach_powsum"})
_MAKES_SPARSE = frozenset(
    {aten._to_sparse, aten._to_sparse_csr, aten._to_sparse_csc, aten._to_sparse_bsr, aten._to_sparse_bsc}
)


def run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], values: Values, devices: frozenset[str]) -> Any:
    """Run one operator on symbolic tensors; `devices` are the device types of those that belong to the traced device.

    Raises
    ------
    ValueNeeded
        Where its result depends on values that are unknown and may not be guessed.
    """
    packet = func._overloadpacket
    if packet in ASKS_FOR_VALUES and lies_on(devices, args):
        return values.answer(func, args, kwargs)
    if packet in MASKED and lies_on(devices, args):
        args = values.without_masks(args)
    if packet is aten._to_copy and (device := kwargs.get("device")) is not None and device.type == "cpu":
        return _to_host(func, args, kwargs)
    if _is_elementwise(func, args):
        return _like_first(func, args)
    if packet in _MAKES_SPARSE:
        raise ValueNeeded("the work on a sparse tensor depends on its values")
    if (kernel := sparse_kernel(func, args, kwargs)) is not None:
        return kernel()
    out = func(*args, **kwargs)
    values.follow(func, args, kwargs, out)
    return out


def lies_on(devices: frozenset[str], values: tuple[Any, ...]) -> bool:
    """Whether a tensor among these values lies on one of the devices."""
    return any(value.device.type in devices for value in values if isinstance(value, torch.Tensor))


class Building(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows values while a model is built without its weights: strides and paddings that it keeps as tensors."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do not wrap each call in a switch for torch.compile."""
        return False

    def __init__(self, values: Values, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values, self._devices = values, frozenset({device})

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator."""
        return run(func, args, kwargs or {}, self._values, self._devices)


def _is_elementwise(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operator on lists of tensors changes or returns tensors like those of its first list."""
    name = func._overloadpacket.__name__
    if not name.startswith("_foreach_") or name in _REDUCTIONS:
        return False
    return isinstance(args[0], (list, tuple)) and bool(args[0][0].device.type == "meta")


def _like_first(func: Any, args: tuple[Any, ...]) -> list[torch.Tensor] | None:
    """Result of such an operator. Nothing is to be computed, and torch would go through all tensors in Python."""
    return [torch.empty_like(tensor) for tensor in args[0]] if func._schema.returns else None


def _to_host(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Copy to the host: the values where they are known, else the symbolic tensor stays where it is."""
    values = values_of(args[0])
    if values is None:
        kwargs = {**kwargs, "device": args[0].device}
        return func(*args, **kwargs)
    return func(values, *args[1:], **kwargs)
