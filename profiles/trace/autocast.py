"""Mixed precision on symbolic tensors: what `torch.autocast` does on the target device, cast by cast.

Autocast is a layer of the dispatcher that exists for real devices only: it leaves meta tensors alone. While a step is
traced, the operators of that layer are replaced by Python ones that follow the same published lists (PyTorch
documentation, "CUDA Ops that can autocast" and "CPU Op-Specific Behavior"; aten/src/ATen/autocast_mode.h), for tensors
on the traced device. `torch.autocast` itself switches the layer on and off as always, so the user's own regions work.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch._C import DispatchKey, DispatchKeySet, _ExcludeDispatchKeyGuard, _IncludeDispatchKeyGuard

from hardware_db.errors import ModelError
from profiles.trace.autocast_lists import CPU, CUDA, Lists

Operator = Callable[..., Any]
Kernel = Callable[..., Any]

_KEYS = {"cuda": DispatchKey.AutocastCUDA, "cpu": DispatchKey.AutocastCPU}


class Autocast:
    """The autocast layer of one target device for tensors of one traced device type.

    Weights cast to the lower precision are kept and cast once per outermost autocast region, as torch does.
    """

    def __init__(self, target: str, traced: str) -> None:
        self.device = "cpu" if target == "cpu" else "cuda"
        self._traced = traced
        self._key = DispatchKeySet(_KEYS[self.device])
        self._cache: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @contextmanager
    def available(self) -> Iterator[None]:
        """Make `torch.autocast` work; it stays off until it is entered."""
        library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
        try:
            self._install(library)
            with self._reachable(), _IncludeDispatchKeyGuard(_KEYS[self.device]):
                yield
        finally:
            library._destroy()  # type: ignore[no-untyped-call]

    def _install(self, library: torch.library.Library) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # overriding a kernel is announced once per process
            for name, kernel in self._kernels(CPU if self.device == "cpu" else CUDA):
                library.impl(name, kernel, _KEYS[self.device].name, allow_override=True)  # type: ignore[no-untyped-call]

    def _kernels(self, lists: Lists) -> Iterator[tuple[str, Kernel]]:
        for name in lists.lower:
            yield name, partial(self._lower, _operator(name))
        for name in lists.float32:
            yield name, partial(self._float32, _operator(name))
        for name in lists.float32_dtype:
            yield name, partial(self._float32_dtype, _operator(name))
        for name, target in lists.float32_overload.items():
            yield name, partial(self._float32_overload, _operator(name), _operator(target))
        for name in lists.promote:
            yield name, partial(self._promote, _operator(name))
        for name in lists.banned:
            yield name, partial(_refuse, name)

    def _lower(self, operator: Operator, *args: Any, **kwargs: Any) -> Any:
        return self._call(operator, self._cast(args, self._low), self._cast(kwargs, self._low))

    def _float32(self, operator: Operator, *args: Any, **kwargs: Any) -> Any:
        return self._call(operator, self._cast(args, torch.float32), self._cast(kwargs, torch.float32))

    def _float32_dtype(self, operator: Operator, *args: Any, **kwargs: Any) -> Any:
        """The result is asked for in float32, unless the caller asked for another type."""
        if self._eligible(args[0]) and kwargs.get("dtype") is None and not _has_dtype(args):
            kwargs = {**kwargs, "dtype": torch.float32}
        return self._call(operator, args, kwargs)

    def _float32_overload(self, operator: Operator, with_dtype: Operator, *args: Any, **kwargs: Any) -> Any:
        if not self._eligible(args[0]):
            return self._call(operator, args, kwargs)
        return self._call(with_dtype, args, {**kwargs, "dtype": torch.float32})

    def _promote(self, operator: Operator, *args: Any, **kwargs: Any) -> Any:
        """All tensors take the widest type among them."""
        leaves = [*_tensors(args), *_tensors(tuple(kwargs.values()))]
        wide = any(leaf.dtype is torch.float32 for leaf in leaves if self._eligible(leaf))
        target = torch.float32 if wide else self._low
        return self._call(operator, self._cast(args, target), self._cast(kwargs, target))

    def _call(self, operator: Operator, args: Any, kwargs: Any) -> Any:
        with _ExcludeDispatchKeyGuard(self._key):
            return operator(*args, **kwargs)

    @property
    def _low(self) -> torch.dtype:
        return torch.get_autocast_dtype(self.device)

    def _eligible(self, value: Any) -> bool:
        return (
            isinstance(value, torch.Tensor)
            and value.device.type == self._traced
            and value.is_floating_point()
            and value.dtype is not torch.float64
        )

    def _cast(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, torch.Tensor):
            return self._cast_tensor(value, dtype)
        if isinstance(value, (tuple, list)):
            return type(value)([self._cast(item, dtype) for item in value])
        if isinstance(value, dict):
            return {key: self._cast(item, dtype) for key, item in value.items()}
        return value

    def _cast_tensor(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if tensor.dtype is dtype or not self._eligible(tensor):
            return tensor
        with _ExcludeDispatchKeyGuard(self._key):
            return self._cached(tensor, dtype) if self._is_weight(tensor, dtype) else tensor.to(dtype)

    def _is_weight(self, tensor: torch.Tensor, dtype: torch.dtype) -> bool:
        return (
            torch.is_autocast_cache_enabled()
            and dtype is self._low
            and tensor.dtype is torch.float32
            and tensor.requires_grad
            and tensor.is_leaf
            and not tensor._is_view()
        )

    def _cached(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if id(tensor) not in self._cache:
            self._cache[id(tensor)] = (tensor, tensor.to(dtype))
        return self._cache[id(tensor)][1]

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Let `torch.autocast` be entered though the device is not there, and drop the casts when it is left."""
        region, clear = torch.amp.autocast_mode.autocast, torch.clear_autocast_cache
        enter = region.__init__
        checkpoint = torch.utils.checkpoint
        infer = checkpoint._infer_device_type

        def init(instance: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
            names = dict(zip(("dtype", "enabled", "cache_enabled"), args, strict=False)) | kwargs
            wanted = names.pop("enabled", True)
            enter(instance, self.device if device_type == self._traced else device_type, enabled=False, **names)
            instance._enabled = wanted

        def forget() -> None:
            self._cache.clear()
            clear()

        region.__init__ = init  # type: ignore[method-assign, assignment]
        torch.clear_autocast_cache = forget
        checkpoint._infer_device_type = lambda *args: self.device
        try:
            yield
        finally:
            region.__init__ = enter  # type: ignore[method-assign]
            torch.clear_autocast_cache = clear
            checkpoint._infer_device_type = infer


def _refuse(name: str, *args: Any, **kwargs: Any) -> Any:
    raise ModelError(f"{name} cannot run under autocast. Use {name}_with_logits on scores before the sigmoid")


def _operator(name: str) -> Operator:
    packet, _, overload = name.partition(".")
    operator: Operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
    return operator


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _has_dtype(args: tuple[Any, ...]) -> bool:
    return any(isinstance(argument, torch.dtype) for argument in args)
