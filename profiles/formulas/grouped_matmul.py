"""Products of many groups in one kernel (mixture of experts) and products of scaled or packed low-precision matrices.

The rows of a ragged operand belong to the groups in whatever split `offs` says; every row is multiplied once, so that
the multiply-adds do not depend on the split (`offs` covers all rows; rows beyond its last entry are not charged less).
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, matrix_cost
from profiles.formulas.registry import register_formula
from profiles.records import TensorSpec


def _packed(tensor: TensorSpec) -> int:
    """Elements per stored element: two in a byte of float4."""
    return 2 if tensor.dtype == "float4_e2m1fn_x2" else 1


@register_formula("aten._scaled_mm", "aten._scaled_mm_v2")
def scaled_mm(call: Call) -> Cost:
    """(m, k) @ (k, n) in float8 or float4, scaled while it is written."""
    left, right = call.tensor(0), call.tensor(1)
    product = Product(left.shape[0], right.shape[1], left.shape[1] * _packed(left))
    return matrix_cost(call, product, vector_flops=call.output_elements)


@register_formula("aten._grouped_mm", "aten._scaled_grouped_mm", "aten._scaled_grouped_mm_v2")
def grouped_mm(call: Call) -> Cost:
    """One product per group; which dimension is ragged follows from the ranks.

    (rows, k) @ (g, k, n): ragged rows. (g, m, k) @ (k, columns): ragged columns. (m, ragged k) @ (ragged k, n) -> (g,
    m, n): ragged inner dimension. (g, m, k) @ (g, k, n): nothing ragged.
    """
    left, right = call.tensor(0), call.tensor(1)
    m, k, n = left.shape[-2], left.shape[-1] * _packed(left), right.shape[-1]
    ranks = (len(left.shape), len(right.shape))
    if ranks == (3, 3):
        return matrix_cost(call, Product(m, n, k, left.shape[0]))
    groups = {(2, 3): right.shape[0], (3, 2): left.shape[0]}.get(ranks, call.outputs[0].shape[0])
    return matrix_cost(call, Product(m, n, k), groups=groups)


@register_formula(
    "aten._weight_int4pack_mm",
    "aten._weight_int4pack_mm_for_cpu",
    "aten._weight_int4pack_mm_with_scales_and_zeros",
    "aten._weight_int8pack_mm",
    "aten._dyn_quant_matmul_4bit",
    "aten._mixed_dtypes_linear",
    "aten.fbgemm_linear_int8_weight",
    "aten.fbgemm_linear_int8_weight_fp32_activation",
    "aten.fbgemm_linear_fp16_weight",
    "aten.fbgemm_linear_fp16_weight_fp32_activation",
    "aten._wrapped_quantized_linear_prepacked",
    "aten._sparse_semi_structured_linear",
)
def packed_linear(call: Call) -> Cost:
    """(..., k) with a packed weight; how it is packed does not matter, the output tells n.

    A 2:4 sparse weight is counted as the dense one that it stands for.
    """
    rows = call.tensor(0)
    return matrix_cost(call, Product(size(rows.shape[:-1]), call.outputs[0].shape[-1], rows.shape[-1]))


@register_formula("aten._cslt_sparse_mm", "aten._sparse_semi_structured_mm")
def semi_structured_mm(call: Call) -> Cost:
    """2:4 sparse (m, k) @ dense (k, n), counted as the dense product that it stands for."""
    dense = call.tensor(1) if call.operator == "aten._cslt_sparse_mm" else call.tensor(2)
    inner = dense.shape[0]
    return matrix_cost(call, Product(call.output_elements // max(dense.shape[1], 1), dense.shape[1], inner))


@register_formula("aten._sparse_semi_structured_addmm")
def semi_structured_addmm(call: Call) -> Cost:
    """Addend + 2:4 sparse (m, k) @ dense (k, n), counted as the dense product that it stands for."""
    dense = call.tensor(3)
    rows = call.output_elements // max(dense.shape[1], 1)
    return matrix_cost(call, Product(rows, dense.shape[1], dense.shape[0]), vector_flops=call.output_elements)


_LINEAR_CROSS_ENTROPY = "torch_nn._linear_cross_entropy_batch_chunked"


@register_formula(_LINEAR_CROSS_ENTROPY, f"{_LINEAR_CROSS_ENTROPY}_no_reduction")
def linear_cross_entropy(call: Call) -> Cost:
    """(..., k) with a weight of (classes, k), and its loss, without ever holding all scores.

    Where gradients are wanted and the loss is reduced, the same call computes them: one product each for the gradients
    of input and weight.
    """
    rows, weight = call.tensor(0), call.tensor(1)
    product = Product(size(rows.shape[:-1]), weight.shape[0], rows.shape[-1])
    gradients = call.flag(12, "compute_input_grad") + call.flag(13, "compute_linear_weight_grad")
    vector_flops = product.m * product.n * (9 if gradients else 5)
    return matrix_cost(call, product, times=1 + gradients, vector_flops=vector_flops)
