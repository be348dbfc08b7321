"""Whole attention layers in one kernel, which torch takes for inference: projections and attention together."""

from __future__ import annotations

from profiles.formulas.attention_pairs import VECTOR_FLOPS_PER_PAIR
from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, products_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.records import TensorSpec


def _attention_products(query: TensorSpec, key: TensorSpec, width: int, heads: int) -> tuple[Product, ...]:
    """Scores and weighted values of (batch, sequence, width) queries over keys."""
    batch, queries, keys = size(query.shape[:-2]), query.shape[-2], key.shape[-2]
    head_dim = width // max(heads, 1)
    return (
        Product(queries, keys, head_dim, batch * heads),
        Product(queries, head_dim, keys, batch * heads),
    )


def _rows(tensor: TensorSpec) -> int:
    """Tokens of (..., width)."""
    return size(tensor.shape[:-1])


@register_formula("aten._native_multi_head_attention", "aten._triton_multi_head_attention")
def native_multi_head_attention(call: Call) -> Cost:
    """(query, key, value, embed_dim, num_head, qkv_weight, qkv_bias, proj_weight, proj_bias, mask, ...)."""
    query, key, value = (call.tensor(position) for position in range(3))
    width, heads = call.integer(3, "embed_dim"), call.integer(4, "num_head")
    projections = tuple(Product(_rows(tensor), width, tensor.shape[-1]) for tensor in (query, key, value, query))
    scores, weighted = _attention_products(query, key, width, heads)
    biases = width * (2 * _rows(query) + _rows(key) + _rows(value))
    vector_flops = biases + VECTOR_FLOPS_PER_PAIR * scores.batch * scores.m * scores.n
    return products_cost(call, (*projections, scores, weighted), "attention", vector_flops)


@register_formula("aten._transformer_encoder_layer_fwd")
def transformer_encoder_layer(call: Call) -> Cost:
    """(src, embed_dim, num_heads, qkv_weight, ..., ffn_weight_1 (14), ffn_bias_1, ffn_weight_2 (16), ffn_bias_2, ...).

    Vector work: biases, softmax, the activation (5 FLOPs for GELU, 1 for ReLU), two norms of 7 and two residual
    additions.
    """
    source, inner = call.tensor(0), call.tensor(14).shape[0]
    width, heads, rows = call.integer(1, "embed_dim"), call.integer(2, "num_heads"), _rows(call.tensor(0))
    scores, weighted = _attention_products(source, source, width, heads)
    projections = (Product(rows, 3 * width, width), Product(rows, width, width))
    feed_forward = (Product(rows, inner, width), Product(rows, width, inner))
    activation = 5 if call.flag(7, "use_gelu") else 1
    vector_flops = rows * (5 * width + inner * (1 + activation) + 2 * 7 * width + 2 * width)
    vector_flops += VECTOR_FLOPS_PER_PAIR * scores.batch * scores.m * scores.n
    return products_cost(call, (*projections, scores, weighted, *feed_forward), "matmul", vector_flops)


@register_formula("aten._triton_scaled_dot_attention")
def triton_scaled_dot_attention(call: Call) -> Cost:
    """(q, k, v) of (batch, heads, sequence, head dimension)."""
    query, key = call.tensor(0), call.tensor(1)
    batch, queries, keys, head_dim = size(query.shape[:-2]), query.shape[-2], key.shape[-2], query.shape[-1]
    products = (Product(queries, keys, head_dim, batch), Product(queries, head_dim, keys, batch))
    return products_cost(call, products, "attention", VECTOR_FLOPS_PER_PAIR * batch * queries * keys)


@register_formula("aten._transform_bias_rescale_qkv")
def transform_bias_rescale_qkv(call: Call) -> Cost:
    """Add the bias to queries, keys and values and scale the queries: 1 and 1/3 FLOPs per element."""
    count = elements(call.tensor(0))
    return vector_cost(call, "attention", count + count // 3)
