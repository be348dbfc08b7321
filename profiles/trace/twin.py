"""Symbolic twins of the user's model and inputs: same structure and ties, no memory, nothing shared that changes."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from profiles.trace.values import ValueNeeded, give_values, is_followed, values_of

_COPIES = (torch.Tensor.__deepcopy__,)
_QUANTISED = frozenset(
    {torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz, torch.float8_e8m0fnu}
)
"""Real numbers of 8 bits: stored with scales beside them, and made to be multiplied as they are."""


class Twins(TorchFunctionMode):
    """Makes deep copies in which every tensor is replaced by a twin on `device`.

    Parameters
    ----------
    device
        "meta" for symbolic twins; "cpu" for real copies.
    weights
        dtype that floating-point tensors are converted to; None keeps theirs.
    fake
        The mode that makes fake twins on `device`; None for symbolic or real ones.
    """

    def __init__(self, device: str, weights: torch.dtype | None, fake: FakeTensorMode | None = None) -> None:
        super().__init__()
        self._device, self._weights, self._fake = torch.device(device), weights, fake
        self._memo: dict[int, Any] = {}
        self._originals: list[Any] = []  # keeps ids in the memo valid

    def model(self, model: torch.nn.Module) -> torch.nn.Module:
        """Twin of a module; tied parameters stay tied, training flag and hooks stay as they are."""
        if isinstance(model, torch.jit.ScriptModule):
            return self._scripted(model)
        for parameter in _distinct(model.parameters()):
            self._remember(parameter, self._parameter(parameter))
        for buffer in _distinct(model.buffers()):
            self._remember(buffer, self.tensor(buffer))
        twin: torch.nn.Module = self._module(model)
        for module in twin.modules():
            module._compiled_call_impl = None
            for name, child in module._modules.items():
                module._modules[name] = None if child is None else original(child)
        return twin

    def _scripted(self, model: torch.nn.Module) -> torch.nn.Module:
        """Twin of a TorchScript module, whose tensors live outside of Python."""
        twin: Any = copy.deepcopy(model)
        for module in twin.modules():
            for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
                module._c.setattr(name, self._memo.setdefault(id(tensor), self.tensor(tensor)))
                self._originals.append(tensor)
        return cast("torch.nn.Module", twin)

    def _module(self, model: torch.nn.Module) -> Any:
        seen = dict(self._memo)
        try:
            return self.copy(model)
        except (TypeError, NotImplementedError, AttributeError, RuntimeError):
            self._memo = seen
            self._share_what_cannot_be_copied(model)
            return self.copy(model)

    def _share_what_cannot_be_copied(self, model: torch.nn.Module) -> None:
        """Let the twin use the original's locks, streams, operators and the like."""
        for module in model.modules():
            for name, value in vars(module).items():
                if name in ("_parameters", "_buffers", "_modules"):
                    continue
                try:
                    with self:
                        copy.deepcopy(value, dict(self._memo))
                except Exception:  # the reasons why something cannot be copied are as many as there are classes
                    self._remember(value, value)

    def copy(self, value: Any) -> Any:
        """Deep copy of any object with twins in place of its tensors."""
        with self:
            return copy.deepcopy(value, self._memo)

    def parameters(self, model: torch.nn.Module) -> dict[int, torch.nn.Parameter]:
        """Twins of the parameters of a module that has one, by the id of the original."""
        known = {id(parameter): self._memo.get(id(parameter)) for parameter in model.parameters()}
        return {key: twin for key, twin in known.items() if twin is not None}

    def tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """Twin of a tensor: a leaf of the same shape, strides and gradient flag; small integers keep their values."""
        if is_traceable_wrapper_subclass(tensor):
            return self._wrapper(tensor)
        with torch._C.DisableTorchFunction(), torch.no_grad():
            dtype = self._dtype(tensor)
            twin = self._twin(tensor.detach(), dtype)
        return twin.requires_grad_(tensor.requires_grad)

    def _wrapper(self, tensor: Any) -> Any:
        """Twin of a tensor that is made of other tensors: quantised, nested, distributed."""
        names, context = tensor.__tensor_flatten__()
        parts = {name: self.tensor(getattr(tensor, name)) for name in names}
        twin = type(tensor).__tensor_unflatten__(parts, context, tensor.size(), tensor.stride())
        return twin.requires_grad_(tensor.requires_grad) if tensor.is_leaf else twin

    def _twin(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if self._fake is None and self._device.type == "cpu":
            return tensor.to("cpu", dtype=dtype, copy=True)
        if tensor.layout is not torch.strided:
            raise ValueNeeded("the work on a sparse tensor depends on its values")
        with self._fake or nullcontext():
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype, device=self._device)
        if (values := values_of(tensor)) is not None and is_followed(tensor):
            give_values(twin, values.to(dtype=dtype, copy=True))
        return twin

    def _parameter(self, parameter: torch.nn.Parameter) -> Any:
        if isinstance(parameter, torch.nn.UninitializedParameter):
            kind = self._weights or parameter.dtype
            make: Any = torch.nn.UninitializedParameter
            return make(parameter.requires_grad, device=self._device, dtype=kind)
        twin = torch.nn.Parameter(self.tensor(parameter.detach()), requires_grad=parameter.requires_grad)
        if not is_traceable_wrapper_subclass(parameter):  # whose parts are in its __dict__
            twin.__dict__.update(parameter.__dict__)
        return twin

    def _dtype(self, tensor: torch.Tensor) -> torch.dtype:
        """Type of the twin: no precision is asked for what has been quantised, whose kernels take no other type."""
        kept = tensor.dtype in _QUANTISED or not tensor.is_floating_point()
        return tensor.dtype if kept or self._weights is None else self._weights

    def _remember(self, original: Any, twin: Any) -> None:
        self._memo[id(original)] = twin
        self._originals.append(original)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer a tensor's request for its deep copy."""
        if func in _COPIES:
            original, memo = args
            if id(original) not in memo:
                memo[id(original)] = self.tensor(original)
            return memo[id(original)]
        return func(*args, **(kwargs or {}))


def original(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module behind `torch.compile` and behind wrappers for several devices."""
    while (inner := _inner(module)) is not None:
        module = inner
    return module


def _inner(module: torch.nn.Module) -> torch.nn.Module | None:
    if isinstance(module, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
        return module.module  # type: ignore[no-any-return]
    # Compiled modules are known by their one child: asking for their class would import the compiler.
    return None if isinstance(module, torch.jit.ScriptModule) else module._modules.get("_orig_mod")


def _distinct(tensors: Iterable[Any]) -> Iterable[Any]:
    return {id(tensor): tensor for tensor in tensors}.values()
