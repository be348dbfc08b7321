"""Tensors that the model makes itself land on the traced device, as they would on the real one."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_map

from profiles.trace.calls import tensors_in
from profiles.trace.higher_order import stand_in
from profiles.trace.values import ValueNeeded, Values, give_values, values_of

_ACCELERATORS = frozenset({"cuda", "xpu", "mps", "xla", "hpu"})
_INDEXING = frozenset({torch.Tensor.__getitem__, torch.Tensor.__setitem__})
_FROM_DATA = frozenset({torch.tensor, torch.as_tensor, torch.asarray})


class Factories(TorchFunctionMode):
    """Sets the default device of all factory functions; tensors made from Python numbers keep their values.

    On symbolic tensors it also runs operators that take functions, and gives packed sequences lengths with values.
    """

    def __init__(self, device: str, symbolic: bool, values: Values) -> None:
        super().__init__()
        self._device, self._symbolic, self._values = torch.device(device), symbolic, values
        self._constructors = _device_constructors()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one torch function."""
        if func is torch.Tensor.cuda:
            return args[0].to(self._device)
        if func is torch.Tensor.tolist and args[0].device.type == "meta" and values_of(args[0]) is None:
            return self._values.listed(args[0])
        if func is torch.Tensor._is_all_true and args[0].device.type == "meta" and values_of(args[0]) is None:
            return torch.ones((), dtype=torch.bool, device="cpu")  # what a model asserts of unknown values holds
        if func is torch.Tensor.__format__ and not args[0].dim():
            return format(args[0].item(), *args[1:])  # torch writes the object where it sees no plain tensor
        if func in _INDEXING and self._device.type == "meta":
            args = (args[0], self._index(args[1]), *args[2:])
        args, kwargs = self._here(func, args, kwargs or {})
        if func in _FROM_DATA and not isinstance(args[0] if args else None, torch.Tensor):
            return self._from_data(func, args, kwargs)
        if func in self._constructors and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": self._device}
        if self._device.type == "meta":
            args, kwargs = _together(args, kwargs)
        if self._symbolic and (function := stand_in(func)) is not None:
            return function(*args, **kwargs)
        if func is torch._VF._pack_padded_sequence and (lengths := values_of(args[1])) is not None:
            args = (args[0], lengths, *args[2:])  # the operator takes them from the host
        return func(*args, **kwargs)

    def _here(self, func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Put the traced device in the place of an accelerator that the model names."""
        if _is_accelerator(kwargs.get("device")):
            kwargs = {**kwargs, "device": self._device}
        if func is torch.Tensor.to:
            args = tuple(self._device if _is_accelerator(arg) else arg for arg in args)
        return args, kwargs

    def _index(self, index: Any) -> Any:
        """Return the index with a tensor that has values for every list of numbers; torch would make one without."""
        if isinstance(index, tuple):
            return tuple(self._index(part) for part in index)
        numbers = isinstance(index, list) and index and all(type(number) is int for number in index)
        return self._from_data(torch.tensor, (index,), {}) if numbers else index

    def _from_data(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        device = kwargs.get("device")
        device = self._device if device is None else torch.device(device)
        if device.type != "meta":
            return func(*args, **{**kwargs, "device": device})
        data = tree_map(self._on_host, args[0])
        values = func(data, *args[1:], **{**kwargs, "device": "cpu"})
        flag = kwargs.get("requires_grad", False)
        with torch._C._DisableTorchDispatch():  # the copy from the host is no operation of the device
            twin = torch.empty_strided(values.shape, values.stride(), dtype=values.dtype, device=device)
        return give_values(twin, values.detach()).requires_grad_(flag)

    def _on_host(self, value: Any) -> Any:
        """Copy of a symbolic number among data, with its value; one that is unknown is guessed and counted."""
        if not isinstance(value, torch.Tensor) or value.device.type != "meta":
            return value
        found = value.item() if value.numel() == 1 else self._values.listed(value)
        with torch._C._DisableTorchDispatch():
            return torch.tensor(found, dtype=value.dtype, device="cpu").reshape(value.shape)


def _together(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments with symbolic twins of what lies on the host, where a function takes tensors from both.

    The host's tensor was made outside of the model (in a closure, as a global); on the device it would be there too.
    """
    devices = {tensor.device.type for tensor in tensors_in((args, *kwargs.values())) if tensor.dim()}
    if len(devices) < 2:
        return args, kwargs
    return tree_map(_symbolic_twin, args), tree_map(_symbolic_twin, kwargs)


def _symbolic_twin(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or value.device.type != "cpu" or not value.dim():
        return value
    if value.layout is not torch.strided:
        raise ValueNeeded("the work on a sparse tensor depends on its values")
    with torch._C._DisableTorchDispatch():
        twin = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return give_values(twin, value)


def _is_accelerator(device: Any) -> bool:
    """Whether an argument names a device like "cuda" or "cuda:1"."""
    if isinstance(device, torch.device):
        return device.type in _ACCELERATORS
    return isinstance(device, str) and device.partition(":")[0] in _ACCELERATORS
