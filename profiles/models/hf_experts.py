"""Mixtures of experts whose work does not depend on where the router sends a token.

transformers runs experts as one grouped matrix product (`torch.nn.functional.grouped_mm`). Its FLOPs are those of the
tokens routed, whatever the routing. On the meta device torch's operator accepts bfloat16 only; for every other type
transformers' own operator of the same meaning (`transformers::grouped_mm_fallback`) is called instead, with the same
FLOPs and bytes. On a real GPU torch runs both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import profiles.models.expert_formulas  # noqa: F401  (registers the cost of the operator used below)

if TYPE_CHECKING:
    import torch


def free_of_data(model: torch.nn.Module) -> None:
    """Wrap the forward of every expert module so that grouped products run on meta tensors of any float type."""
    for module in model.modules():
        config = getattr(module, "config", None)
        if hasattr(module, "is_transposed") and getattr(config, "_experts_implementation", None) == "grouped_mm":
            module.forward = functools.partial(_forward, module.forward)


def _forward(original: Any, *args: Any, **kwargs: Any) -> Any:
    with _fallback_unless_bfloat16():
        return original(*args, **kwargs)


@contextmanager
def _fallback_unless_bfloat16() -> Iterator[None]:
    """Let transformers choose its own operator for meta tensors that torch's refuses; restore its choice afterwards."""
    import torch
    from transformers.integrations import moe

    chosen = moe._can_use_grouped_mm

    def can_use(tokens: torch.Tensor, weight: torch.Tensor, offsets: torch.Tensor) -> bool:
        if weight.device.type == "meta" and weight.dtype != torch.bfloat16:
            return False
        return bool(chosen(tokens, weight, offsets))

    moe._can_use_grouped_mm = can_use
    try:
        yield
    finally:
        moe._can_use_grouped_mm = chosen
