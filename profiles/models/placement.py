"""Put what a model made on the CPU by its own will where the rest of it is.

`torch.Tensor(768)`, NumPy arrays and explicit `device="cpu"` do not follow the default device of torch, so that a model
built on meta may keep real tensors in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def settle(model: torch.nn.Module) -> torch.nn.Module:
    """Replace parameters and buffers that are not on torch's default device, if that is meta, by symbolic ones.

    Small integers keep their values; parameters that are shared stay shared. The model itself is changed and returned.
    """
    import torch

    if torch.get_default_device().type == "meta":
        moved: dict[int, torch.Tensor] = {}
        for module in model.modules():
            for table in (module._parameters, module._buffers):
                _settle(table, moved)
    return model


def _settle(table: dict[str, Any], moved: dict[int, torch.Tensor]) -> None:
    for name, tensor in table.items():
        if tensor is not None and tensor.device.type != "meta":
            moved.setdefault(id(tensor), _symbolic(tensor))
            table[name] = moved[id(tensor)]


def _symbolic(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    from profiles.trace.twin import Twins

    twin = Twins("meta", None).tensor(tensor.detach())
    return torch.nn.Parameter(twin, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else twin
