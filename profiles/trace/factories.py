"""Tensors that the model makes itself land on the traced device, as they would on the real one."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from profiles.trace.values import give_values

_FROM_DATA = frozenset({torch.tensor, torch.as_tensor, torch.asarray})


class Factories(TorchFunctionMode):
    """Sets the default device of all factory functions; tensors made from Python numbers keep their values."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = torch.device(device)
        self._constructors = _device_constructors()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one torch function."""
        kwargs = kwargs or {}
        if func in _FROM_DATA and not isinstance(args[0] if args else None, torch.Tensor):
            return self._from_data(func, args, kwargs)
        if func in self._constructors and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": self._device}
        return func(*args, **kwargs)

    def _from_data(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        device = kwargs.get("device")
        device = self._device if device is None else torch.device(device)
        if device.type != "meta":
            return func(*args, **{**kwargs, "device": device})
        values = func(*args, **{**kwargs, "device": "cpu"})
        flag = kwargs.get("requires_grad", False)
        with torch._C._DisableTorchDispatch():  # the copy from the host is no operation of the device
            twin = torch.empty_strided(values.shape, values.stride(), dtype=values.dtype, device=device)
        return give_values(twin, values.detach()).requires_grad_(flag)
