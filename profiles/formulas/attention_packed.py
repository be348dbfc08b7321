"""Fused attention over (batch, sequence, heads, head dimension) or over packed sequences of unequal lengths.

Packed sequences of one length are exact. Of unequal lengths only the sum is in the shapes: then equal lengths are
assumed, and the cost is marked as an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from profiles.formulas.attention import Signature, heads_first
from profiles.formulas.attention_pairs import Attention, backward_cost, forward_cost
from profiles.formulas.call import Call, Cost
from profiles.formulas.call import product as size
from profiles.formulas.registry import register_formula


@dataclass(frozen=True, slots=True)
class _Layout:
    """Positions among an operator's arguments.

    query     the query, before key and value
    offsets   where the sequences of the queries begin, before those of the keys; None: never packed
    longest   length of the longest sequence of queries, before that of the keys; None: never packed
    causal    the flag, or the type of mask
    window    left limit, before the right one, or a list of both; None: by keyword
    """

    query: int
    offsets: int | None
    longest: int | None
    causal: int
    window: int | None = None
    backward: bool = False


_FLASH = {
    "aten._flash_attention_forward": _Layout(0, 3, 5, 8),
    "aten._flash_attention_forward_no_dropout_inplace": _Layout(1, 4, 6, 9),
    "aten._flash_attention_backward": _Layout(1, 6, 8, 11, backward=True),
    "torch_attn._varlen_attn": _Layout(0, 3, 5, 7, 9),
    "torch_attn._varlen_attn_out": _Layout(1, 4, 6, 8, 10),
    "torch_attn._varlen_attn_backward": _Layout(1, 6, 8, 10, 13, backward=True),
    "flash_attn._flash_attn_forward": _Layout(0, None, None, 5, 6),
    "flash_attn._flash_attn_backward": _Layout(1, None, None, 11, 12, backward=True),
    "flash_attn._flash_attn_varlen_forward": _Layout(0, 3, 5, 9, 10),
    "flash_attn._flash_attn_varlen_backward": _Layout(1, 9, 11, 15, 16, backward=True),
}
"""FlashAttention; signatures from torch's native_functions.yaml, torch/nn/attention/varlen.py and the package's
flash_attn_interface.py (version 2.8)."""


def _attention(call: Call, layout: _Layout) -> tuple[Attention, bool]:
    """Attention without a mask, and whether its size is certain."""
    query, key, value = (call.tensor(layout.query + offset) for offset in range(3))
    offsets = None if layout.offsets is None else call.optional_tensor(layout.offsets)
    heads, dims = query.shape[-2], (query.shape[-1], value.shape[-1])
    if offsets is None or layout.longest is None:
        batch = size(query.shape[:-3])
        return Attention(batch * heads, query.shape[-3], key.shape[-3], *dims), True
    sequences = max(offsets.shape[0] - 1, 1)
    queries, keys = size(query.shape[:-2]), size(key.shape[:-2])
    longest = call.argument(layout.longest, ""), call.argument(layout.longest + 1, "")
    equal = longest == (queries / sequences, keys / sequences)
    return Attention(sequences * heads, queries // sequences, keys // sequences, *dims), equal


def _window(call: Call, layout: _Layout) -> tuple[int | None, int | None]:
    """Limits to the left and the right; a negative one is none."""
    if layout.window is None:
        limits = (call.keyword("window_size_left"), call.keyword("window_size_right"))
    else:
        first = call.argument(layout.window, "window_size_left", call.keyword("window_size"))
        pair = (first, call.argument(layout.window + 1, "window_size_right"))
        limits = (first[0], first[1]) if isinstance(first, tuple) else pair
    left, right = (limit if isinstance(limit, int) and limit >= 0 else None for limit in limits)
    return left, right


def _finish(call: Call, attention: Attention, certain: bool, backward: bool) -> Cost:
    """Cost of the direction, marked as an estimate where sizes are not certain."""
    cost = backward_cost(call, attention) if backward else forward_cost(call, attention)
    return replace(cost, counted=certain)


def _flash(layout: _Layout) -> Callable[[Call], Cost]:
    """Formula of FlashAttention 2, whose masks are aligned to the lower right (its changelog, version 2.1)."""

    def formula(call: Call) -> Cost:
        attention, certain = _attention(call, layout)
        left, right = _window(call, layout)
        windowed = replace(attention, left=left, right=right, shift=attention.keys - attention.queries)
        masked = windowed.causal(call.flag(layout.causal, "is_causal"), lower_right=True)
        return _finish(call, masked, certain, layout.backward)

    return formula


for _name, _layout in _FLASH.items():
    register_formula(_name)(_flash(_layout))


_EFFICIENT = {
    "aten._efficient_attention_forward": _Layout(0, 4, 6, 9),
    "aten._efficient_attention_backward": _Layout(1, 6, 8, 14, backward=True),
}


@register_formula(*_EFFICIENT)
def efficient(call: Call) -> Cost:
    """Memory-efficient attention: mask type 1 is causal from the upper left, 2 from the lower right."""
    layout = _EFFICIENT[call.operator]
    attention, certain = _attention(call, layout)
    kind = call.integer(layout.causal, "custom_mask_type", 0)
    window = call.keyword("window_size")
    if isinstance(window, int) and window > 0:
        attention = replace(attention, left=window - 1)
    return _finish(call, attention.causal(kind in (1, 2), lower_right=kind == 2), certain, layout.backward)


_CUDNN = {
    "aten._cudnn_attention_forward": _Layout(0, 4, 6, 10),
    "aten._cudnn_attention_backward": _Layout(1, 9, 11, 14, backward=True),
}


@register_formula(*_CUDNN)
def cudnn(call: Call) -> Cost:
    """CuDNN's attention: heads first where it is not packed."""
    layout = _CUDNN[call.operator]
    if len(call.tensor(layout.query).shape) == 4:
        return heads_first(Signature(layout.query, layout.causal, layout.backward))(call)
    attention, certain = _attention(call, layout)
    return _finish(call, attention.causal(call.flag(layout.causal, "is_causal")), certain, layout.backward)
