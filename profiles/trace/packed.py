"""Weights that torch packs into an object of its own, where no list of parameters shows them: quantised layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def packed_in(value: torch.ScriptObject) -> Iterator[torch.Tensor]:
    """Yield weights and biases of a packed object, 8-bit or of half precision, as they are stored.

    A recurrent cell holds its layers packed, and a second copy of their biases, which is left out.
    """
    with torch._C._DisableTorchDispatch():  # the packed tensors are real ones, whatever is traced
        yield from list(_unpacked(value))


def _unpacked(value: Any) -> Iterator[torch.Tensor]:
    methods = value._method_names()
    if "unpack" in methods:
        for tensor in _tensors(value.unpack()):
            # Half weights are unpacked to float32 (aten/src/ATen/native/quantized/cpu/LinearUnpackImpl.cpp).
            yield tensor.half() if tensor.dtype is torch.float32 and tensor.dim() > 1 else tensor
    elif "__getstate__" in methods:
        for part in _objects(value.__getstate__()):
            yield from _unpacked(part)


def packed_by_module(model: torch.nn.Module) -> dict[str, list[torch.Tensor]]:
    """Packed weights of a model by the path of the module that holds them."""
    found: dict[str, list[torch.Tensor]] = {}
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        tensors = [tensor for part in vars(module).values() for tensor in _packed(part)]
        if tensors:
            found[path] = tensors
    return found


def _packed(value: Any) -> Iterator[torch.Tensor]:
    for part in _objects(value):
        yield from packed_in(part)


def _objects(value: Any) -> Iterator[torch.ScriptObject]:
    if isinstance(value, torch.ScriptObject):
        yield value
    elif type(value) in (tuple, list):
        for part in value:
            yield from _objects(part)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value.detach()
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
