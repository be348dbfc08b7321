"""Which kernel `scaled_dot_product_attention` becomes on the target device, traced on symbolic tensors.

On symbolic tensors torch itself always falls back to separate products and softmax, which is not what a GPU runs. The
choice here follows torch's own rules (aten/src/ATen/native/transformers: cuda/sdp_utils.cpp, sdp_utils_cpp.cpp,
attention.cpp). On CUDA: flash attention, then memory-efficient attention, then plain mathematics. On the CPU: its own
flash kernel, then plain mathematics. cuDNN attention, the first choice on Hopper with a recent cuDNN, does the same
work as flash attention and is traced as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

aten = torch.ops.aten

_HALF = (torch.float16, torch.bfloat16)
_LARGEST_FLASH_HEAD = 256
_FLASH_ALIGNMENT = 8
_EFFICIENT_ALIGNMENT = {torch.float16: 8, torch.bfloat16: 8, torch.float32: 4}
_MASK_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Attention:
    """Arguments of one `scaled_dot_product_attention`; query [..., heads, length, width]."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None
    dropout: float
    causal: bool
    scale: float | None
    grouped: bool

    @property
    def plain(self) -> bool:
        """Four dimensions, none of them empty: what fused kernels take."""
        return self.query.dim() == self.key.dim() == self.value.dim() == 4 and self.query.numel() > 0

    @property
    def differentiable(self) -> bool:
        """Whether a backward pass will follow."""
        needs = any(tensor.requires_grad for tensor in (self.query, self.key, self.value))
        return torch.is_grad_enabled() and needs


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    device: str = "cuda",
) -> torch.Tensor:
    """Run the kernel that `device` would choose; same arguments as torch's operator."""
    grouped = enable_gqa and query.dim() >= 3 and query.shape[-3] != key.shape[-3]
    call = Attention(query, key, value, attn_mask, dropout_p, is_causal, scale, grouped)
    for suits, kernel in _CPU_KERNELS if device == "cpu" else _ACCELERATOR_KERNELS:
        if suits(call):
            return kernel(call)
    return _mathematics(call)


def _suits_flash(call: Attention) -> bool:
    width = call.query.shape[-1]
    return (
        torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
        and call.plain
        and call.mask is None
        and call.query.dtype in _HALF
        and width <= _LARGEST_FLASH_HEAD
        and width == call.value.shape[-1]
        and not (call.causal and call.query.shape[-2] != call.key.shape[-2])
    )


def _flash(call: Attention) -> torch.Tensor:
    width = call.query.shape[-1]
    missing = -width % _FLASH_ALIGNMENT
    query, key, value = (pad(t, (0, missing)) if missing else t for t in (call.query, call.key, call.value))
    scale = 1 / math.sqrt(width) if call.scale is None else call.scale
    output: torch.Tensor = aten._scaled_dot_product_flash_attention(
        query, key, value, call.dropout, call.causal, False, scale=scale
    )[0]
    return output[..., :width] if missing else output


def _suits_efficient(call: Attention) -> bool:
    alignment = _EFFICIENT_ALIGNMENT.get(call.query.dtype)
    return (
        torch.backends.cuda.mem_efficient_sdp_enabled()  # type: ignore[no-untyped-call]
        and call.plain
        and not call.grouped
        and alignment is not None
        and call.query.shape[-1] % alignment == 0
        and call.value.shape[-1] % alignment == 0
    )


def _efficient(call: Attention) -> torch.Tensor:
    bias = _bias(call)
    output: torch.Tensor = aten._scaled_dot_product_efficient_attention(
        call.query, call.key, call.value, bias, call.differentiable, call.dropout, call.causal, scale=call.scale
    )[0]
    return output


def _bias(call: Attention) -> torch.Tensor | None:
    """Mask as the memory-efficient kernel wants it: added to the scores, rows aligned, one per head."""
    mask = _additive(call)
    if mask is None:
        return None
    length = mask.shape[-1]
    if missing := -length % _MASK_ALIGNMENT:
        mask = pad(mask, (0, missing))[..., :length]
    return mask.expand(*call.query.shape[:-1], call.key.shape[-2])


def _additive(call: Attention) -> torch.Tensor | None:
    """A boolean mask becomes 0 where it allows and -inf where it forbids."""
    if call.mask is None or call.mask.dtype is not torch.bool:
        return call.mask
    zero = torch.zeros((), dtype=call.query.dtype, device=call.mask.device)
    return torch.where(call.mask, zero, float("-inf"))


def _suits_cpu_flash(call: Attention) -> bool:
    widths = {tensor.shape[-1] for tensor in (call.query, call.key, call.value)}
    mask = call.mask
    return (
        call.plain
        and call.dropout == 0.0
        and len(widths) == 1
        and not (mask is not None and mask.requires_grad)
        and (mask is None or mask.dim() in (2, 4))
    )


def _cpu_flash(call: Attention) -> torch.Tensor:
    output: torch.Tensor = aten._scaled_dot_product_flash_attention_for_cpu(
        call.query, call.key, call.value, call.dropout, call.causal, attn_mask=_additive(call), scale=call.scale
    )[0]
    return output


def _mathematics(call: Attention) -> torch.Tensor:
    output: torch.Tensor = aten._scaled_dot_product_attention_math(
        call.query,
        call.key,
        call.value,
        _additive(call),
        call.dropout,
        call.causal,
        None,
        scale=call.scale,
        enable_gqa=call.grouped,
    )[0]
    return output


_Kernels = tuple[tuple[Callable[[Attention], bool], Callable[[Attention], torch.Tensor]], ...]
_ACCELERATOR_KERNELS: _Kernels = ((_suits_flash, _flash), (_suits_efficient, _efficient))
_CPU_KERNELS: _Kernels = ((_suits_cpu_flash, _cpu_flash),)
