"""Fused attention: softmax(Q K^T) V in one kernel that never writes the scores to memory.

`flops` counts every pair of query and key, `executed_flops` the pairs that the causal mask or the window lets through
(the kernels skip the blocks above the diagonal), `model_flops` of the backward pass the four products that it takes
without forming the scores again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from profiles.formulas.attention_pairs import Attention, backward_cost, forward_cost
from profiles.formulas.call import Call, Cost
from profiles.formulas.call import product as size
from profiles.formulas.registry import register_formula


@dataclass(frozen=True, slots=True)
class _Signature:
    """Positions of the query and of is_causal among an operator's arguments, and its direction."""

    query: int
    causal: int
    backward: bool = False


_HEADS_FIRST = {
    "scaled_dot_product_attention": _Signature(0, 5),
    "_scaled_dot_product_attention_math": _Signature(0, 5),
    "_scaled_dot_product_attention_math_for_mps": _Signature(0, 5),
    "_scaled_dot_product_flash_attention": _Signature(0, 4),
    "_scaled_dot_product_flash_attention_backward": _Signature(1, 11, backward=True),
    "_scaled_dot_product_flash_attention_for_cpu": _Signature(0, 4),
    "_scaled_dot_product_flash_attention_for_cpu_backward": _Signature(1, 7, backward=True),
    "_scaled_dot_product_efficient_attention": _Signature(0, 6),
    "_scaled_dot_product_efficient_attention_backward": _Signature(1, 11, backward=True),
    "_scaled_dot_product_cudnn_attention": _Signature(0, 6),
    "_scaled_dot_product_cudnn_attention_backward": _Signature(1, 14, backward=True),
    "_scaled_dot_product_fused_attention_overrideable": _Signature(0, 5),
    "_scaled_dot_product_fused_attention_overrideable_backward": _Signature(1, 13, backward=True),
}
"""Schemas from torch's native_functions.yaml; tensors are (..., heads, sequence, head dimension)."""


def _heads_first(signature: _Signature) -> Callable[[Call], Cost]:
    """Formula of an operator on (..., heads, sequence, head dimension); the mask is aligned to the upper left."""

    def formula(call: Call) -> Cost:
        query, key, value = (call.tensor(signature.query + offset) for offset in range(3))
        shifted = 3 if call.overload == "quantized" else 0
        attention = Attention(
            size(query.shape[:-2]), query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1]
        ).causal(call.flag(signature.causal + shifted, "is_causal"))
        return backward_cost(call, attention) if signature.backward else forward_cost(call, attention)

    return formula


for _name, _signature in _HEADS_FIRST.items():
    register_formula(f"aten.{_name}")(_heads_first(_signature))


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Positions of the cumulative lengths and the largest lengths of queries and keys."""

    offsets: int
    largest: int


def _sequence_first(call: Call, query_position: int, lengths: _Lengths) -> tuple[Attention, bool]:
    """Attention over (batch, sequence, heads, dim) or packed sequences, and whether its size is certain.

    Packed sequences of one length are exact. Of unequal lengths only the sum is in the shapes; then equal lengths are
    assumed and the cost is marked as an estimate.
    """
    query, key, value = (call.tensor(query_position + offset) for offset in range(3))
    offsets = call.optional_tensor(lengths.offsets)
    heads, key_dim, value_dim = query.shape[-2], query.shape[-1], value.shape[-1]
    if offsets is None:
        batch = size(query.shape[:-3])
        return Attention(batch * heads, query.shape[-3], key.shape[-3], key_dim, value_dim), True
    sequences = max(offsets.shape[0] - 1, 1)
    queries, keys = size(query.shape[:-2]), size(key.shape[:-2])
    largest = call.argument(lengths.largest, ""), call.argument(lengths.largest + 1, "")
    equal = largest == (queries / sequences, keys / sequences)
    return Attention(sequences * heads, queries // sequences, keys // sequences, key_dim, value_dim), equal


def _finish(call: Call, attention: Attention, certain: bool, backward: bool) -> Cost:
    """Cost of the direction, marked as an estimate where sizes are not certain."""
    cost = backward_cost(call, attention) if backward else forward_cost(call, attention)
    return replace(cost, counted=certain)


def _window(call: Call, name: str) -> int | None:
    """Window limit by keyword; a negative one is none."""
    limit = call.keyword(name)
    return limit if isinstance(limit, int) and limit >= 0 else None


def _flash(call: Call, query: int, lengths: _Lengths, causal: int, backward: bool) -> Cost:
    """FlashAttention 2: the causal mask is aligned to the lower right corner (its changelog, version 2.1)."""
    attention, certain = _sequence_first(call, query, lengths)
    left, right = _window(call, "window_size_left"), _window(call, "window_size_right")
    attention = replace(attention, left=left, right=right, shift=attention.keys - attention.queries)
    return _finish(call, attention.causal(call.flag(causal, "is_causal"), lower_right=True), certain, backward)


@register_formula("aten._flash_attention_forward", "aten._flash_attention_forward_no_dropout_inplace")
def flash_forward(call: Call) -> Cost:
    """(query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, ...); `out` may come first."""
    first = 1 if call.operator.endswith("inplace") else 0
    return _flash(call, first, _Lengths(first + 3, first + 5), first + 8, backward=False)


@register_formula("aten._flash_attention_backward")
def flash_backward(call: Call) -> Cost:
    """(grad, query, key, value, out, lse, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, ...)."""
    return _flash(call, 1, _Lengths(6, 8), 11, backward=True)


def _efficient(call: Call, query: int, lengths: _Lengths, mask_type: int, backward: bool) -> Cost:
    """Memory-efficient attention: mask type 1 is causal from the upper left, 2 from the lower right."""
    attention, certain = _sequence_first(call, query, lengths)
    kind = call.integer(mask_type, "custom_mask_type", 0)
    window = call.keyword("window_size")
    if isinstance(window, int) and window > 0:
        attention = replace(attention, left=window - 1)
    return _finish(call, attention.causal(kind in (1, 2), lower_right=kind == 2), certain, backward)


@register_formula("aten._efficient_attention_forward")
def efficient_forward(call: Call) -> Cost:
    """(query, key, value, bias, cu_seqlens_q, cu_seqlens_k, max_q, max_k, dropout_p, custom_mask_type, ...)."""
    return _efficient(call, 0, _Lengths(4, 6), 9, backward=False)


@register_formula("aten._efficient_attention_backward")
def efficient_backward(call: Call) -> Cost:
    """(grad, query, key, value, bias, out, cu_q, cu_k, max_q, max_k, lse, dropout_p, seed, offset, mask_type, ...)."""
    return _efficient(call, 1, _Lengths(6, 8), 14, backward=True)


@register_formula("aten._cudnn_attention_forward")
def cudnn_forward(call: Call) -> Cost:
    """(query, key, value, attn_bias, cum_q, cum_k, max_q, max_k, compute_lse, dropout_p, is_causal, ...)."""
    if len(call.tensor(0).shape) == 4:
        return _heads_first(_Signature(0, 10))(call)
    attention, certain = _sequence_first(call, 0, _Lengths(4, 6))
    return _finish(call, attention.causal(call.flag(10, "is_causal")), certain, backward=False)


@register_formula("aten._cudnn_attention_backward")
def cudnn_backward(call: Call) -> Cost:
    """(grad, q, k, v, out, lse, seed, offset, attn_bias, cum_q, cum_k, max_q, max_k, dropout_p, is_causal, ...)."""
    if len(call.tensor(1).shape) == 4:
        return _heads_first(_Signature(1, 14, backward=True))(call)
    attention, certain = _sequence_first(call, 1, _Lengths(9, 11))
    return _finish(call, attention.causal(call.flag(14, "is_causal")), certain, backward=True)
