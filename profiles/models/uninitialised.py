"""Build a model without filling its weights with numbers that no symbolic tensor could hold."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

_FILLS = frozenset(
    {
        *(getattr(init, name) for name in dir(init) if name.endswith("_") and not name.startswith("_")),
        *(torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.fill_, torch.Tensor.zero_),
    }
)


class Uninitialised(TorchFunctionMode):
    """Leaves symbolic floating-point tensors as they are where they would be initialised; integers keep values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one torch function, or none."""
        if func in _FILLS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta" and tensor.is_floating_point():
                return tensor
        return func(*args, **(kwargs or {}))
