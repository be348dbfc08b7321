"""Example tensors: integers with real values, floats where torch's default device is, no trace in the global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def integers(below: int, *shape: int) -> torch.Tensor:
    """Return int64[shape] on the CPU, values 0 to below - 1, the same on every call."""
    import torch

    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.randint(0, max(1, below), shape, generator=generator, device="cpu")


def ones(*shape: int) -> torch.Tensor:
    """Return int64[shape] of ones on the CPU: a mask that hides nothing."""
    import torch

    return torch.ones(shape, dtype=torch.int64, device="cpu")


def floats(*shape: int) -> torch.Tensor:
    """Return float[shape] of torch's default type: empty on meta, else random in [0, 1), the same on every call."""
    import torch

    device = torch.get_default_device()
    if device.type == "meta":
        return torch.empty(shape, device=device)
    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.rand(shape, generator=generator, device="cpu").to(device)
