"""Example inputs the user gave, at another batch size or sequence length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError
from profiles.models.definition import Arguments

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Example:
    """The user's own example: the first dimension is the batch, the second of two-dimensional ids the sequence."""

    arguments: Arguments
    batch_size: int
    sequence_length: int | None

    def at(self, batch: int, sequence: int | None) -> Arguments:
        """Return fresh tensors of the same kinds at another batch size and sequence length."""
        args, kwargs = self.arguments
        resize = _once(self._resizer(batch, sequence))
        return tuple(_mapped(value, resize) for value in args), {key: _mapped(v, resize) for key, v in kwargs.items()}

    def _resizer(self, batch: int, sequence: int | None) -> Callable[[torch.Tensor], torch.Tensor]:
        def resize(tensor: torch.Tensor) -> torch.Tensor:
            shape = list(tensor.shape)
            if shape and shape[0] == self.batch_size:
                shape[0] = batch
            if sequence and len(shape) == 2 and shape[1] == self.sequence_length and not tensor.is_floating_point():
                shape[1] = sequence
            return _like(tensor, shape)

        return resize


def _once(resize: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """One tensor that is given several times stays one tensor, and what asks for a gradient does so at any size."""
    seen: dict[int, torch.Tensor] = {}

    def change(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in seen:
            made = resize(tensor)
            wanted = tensor.requires_grad and not made.requires_grad
            seen[id(tensor)] = made.detach().requires_grad_() if wanted else made
        return seen[id(tensor)]

    return change


def example(arguments: Arguments) -> Example:
    """Read the sizes off the tensors: the batch is the first dimension of the first one.

    Raises UsageError for nested tensors of the strided layout, which have no sizes.
    """
    import torch

    tensors = list(_tensors(arguments))
    if any(tensor.is_nested and tensor.layout is torch.strided for tensor in tensors):
        raise UsageError("A nested tensor of the strided layout cannot be traced. Make it with layout=torch.jagged")
    shapes = [tuple(tensor.shape) for tensor in tensors if tensor.dim()]
    ids = [tensor.shape[1] for tensor in tensors if tensor.dim() == 2 and not tensor.is_floating_point()]
    return Example(arguments, shapes[0][0] if shapes else 1, ids[0] if ids else None)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def _mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Apply `change` to every tensor in nested tuples, lists and dicts; leave everything else."""
    import torch

    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(part, change) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _like(tensor: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """Return a new tensor: integers repeat their values in a larger shape; those without values become zeros.

    Real numbers without values, or for another shape, are normally distributed, the same on every call.
    """
    import torch

    if tensor.is_floating_point() or tensor.is_complex():
        device = torch.get_default_device()
        if tensor.device.type != "meta" and list(tensor.shape) == shape:
            return tensor.detach().to(device)
        if device.type == "meta":
            return torch.empty(shape, dtype=tensor.dtype, device=device)
        kind = tensor.dtype if tensor.is_complex() else torch.float32
        generator = torch.Generator(device="cpu").manual_seed(0)
        return torch.randn(shape, generator=generator, dtype=kind, device="cpu").to(device, tensor.dtype)
    if tensor.device.type == "meta" or not tensor.numel():
        return torch.zeros(shape, dtype=tensor.dtype, device="cpu")
    for dimension, size in enumerate(shape):
        if size != tensor.shape[dimension]:
            places = torch.arange(size, device="cpu") % tensor.shape[dimension]
            tensor = tensor.index_select(dimension, places.to(tensor.device))
    return tensor
