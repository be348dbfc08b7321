"""Fused attention: softmax(Q K^T) V in one kernel that never writes the scores to memory.

`flops` counts every pair of query and key, `executed_flops` the pairs that the causal mask or the window lets through
(the kernels skip the blocks above the diagonal), `model_flops` of the backward pass the four products that it takes
without forming the scores again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from profiles.formulas.attention_pairs import VECTOR_FLOPS_PER_PAIR, Attention, backward_cost, forward_cost
from profiles.formulas.call import Call, Cost
from profiles.formulas.call import product as size
from profiles.formulas.registry import register_formula


@dataclass(frozen=True, slots=True)
class Signature:
    """Positions of the query and of is_causal (None: no such argument) among the arguments, and the direction."""

    query: int
    causal: int | None
    backward: bool = False


_HEADS_FIRST = {
    "scaled_dot_product_attention": Signature(0, 5),
    "_scaled_dot_product_attention_math": Signature(0, 5),
    "_scaled_dot_product_attention_math_for_mps": Signature(0, 5),
    "_scaled_dot_product_flash_attention": Signature(0, 4),
    "_scaled_dot_product_flash_attention_backward": Signature(1, 11, backward=True),
    "_scaled_dot_product_flash_attention_for_cpu": Signature(0, 4),
    "_scaled_dot_product_flash_attention_for_cpu_backward": Signature(1, 7, backward=True),
    "_scaled_dot_product_efficient_attention": Signature(0, 6),
    "_scaled_dot_product_efficient_attention_backward": Signature(1, 11, backward=True),
    "_scaled_dot_product_cudnn_attention": Signature(0, 6),
    "_scaled_dot_product_cudnn_attention_backward": Signature(1, 14, backward=True),
    "_scaled_dot_product_fused_attention_overrideable": Signature(0, 5),
    "_scaled_dot_product_fused_attention_overrideable_backward": Signature(1, 13, backward=True),
}
"""Schemas from torch's native_functions.yaml; tensors are (..., heads, sequence, head dimension)."""


def heads_first(signature: Signature) -> Callable[[Call], Cost]:
    """Formula of an operator on (..., heads, sequence, head dimension); the mask is aligned to the upper left."""

    def formula(call: Call) -> Cost:
        query, key, value = (call.tensor(signature.query + offset) for offset in range(3))
        shifted = 3 if call.overload == "quantized" else 0
        is_causal = signature.causal is not None and call.flag(signature.causal + shifted, "is_causal")
        sizes = (query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1])
        attention = Attention(size(query.shape[:-2]), *sizes).causal(is_causal)
        return backward_cost(call, attention) if signature.backward else forward_cost(call, attention)

    return formula


for _name, _signature in _HEADS_FIRST.items():
    register_formula(f"aten.{_name}")(heads_first(_signature))


@register_formula("flopcast.flex_attention")
def flex_attention(call: Call) -> Cost:
    """(query, key, value, executed_pairs): the block mask leaves out all but these pairs of query and key."""
    return _executing(heads_first(Signature(0, None))(call), call, call.integer(3, "executed_pairs"))


@register_formula("flopcast.flex_attention_backward")
def flex_attention_backward(call: Call) -> Cost:
    """(query, key, value, output, logsumexp, gradient, executed_pairs)."""
    return _executing(heads_first(Signature(0, None, backward=True))(call), call, call.integer(6, "executed_pairs"))


def _executing(cost: Cost, call: Call, pairs: int) -> Cost:
    query, key = call.tensor(0), call.tensor(1)
    everything = size(query.shape[:-1]) * key.shape[-2]
    dims = dict(cost.dims) | {"vector_flops": VECTOR_FLOPS_PER_PAIR * pairs}
    return replace(cost, executed_flops=cost.flops * pairs // max(1, everything), dims=tuple(dims.items()))
