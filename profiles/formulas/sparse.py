"""Products with a sparse operand: 2 FLOPs per stored element and column (8 for complex numbers).

A sparse tensor's `TensorSpec` has the shape of the dense one, and the number of its stored elements as
`storage_elements`. An operator of the aten namespace that got a sparse operand arrives under the name
"sparse.<name>", so that "aten.mm" is always dense.
"""

from __future__ import annotations

from dataclasses import replace

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import Product, flops_per_multiply_add, matrix_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import total_bytes
from profiles.records import TensorSpec

FAMILY = "sparse"


def _product(call: Call, left: TensorSpec, right: TensorSpec) -> Cost:
    """Product of (m, k) and (k, n), one of them sparse: as many multiply-adds per stored element as it meets."""
    columns = right.shape[-1] if len(right.shape) > 1 else 1
    rows = left.shape[-2] if len(left.shape) > 1 else 1
    fill_left, fill_right = left.storage_elements < elements(left), right.storage_elements < elements(right)
    multiply_adds = left.storage_elements * columns if fill_left or not fill_right else right.storage_elements * rows
    dims = Product(rows, columns, left.shape[-1])
    flops = multiply_adds * flops_per_multiply_add(left)
    cost = replace(matrix_cost(call, dims, FAMILY), flops=flops, model_flops=flops, executed_flops=flops)
    return replace(cost, dims=(*dims.dims, ("stored", multiply_adds // max(columns, 1))))


@register_formula("sparse.mm", "sparse.mv", "sparse.bmm", "sparse.matmul", "aten._sparse_mm", "aten.smm", "aten.hspmm")
def sparse_mm(call: Call) -> Cost:
    """Sparse (m, k) @ (k, n)."""
    return _product(call, call.tensor(0), call.tensor(1))


@register_formula("sparse.addmm", "sparse.baddbmm", "sparse.addmv", "aten._sparse_addmm", "aten.sspaddmm")
def sparse_addmm(call: Call) -> Cost:
    """Addend + sparse (m, k) @ (k, n)."""
    return _product(call, call.tensor(1), call.tensor(2))


@register_formula("aten._sparse_mm_reduce_impl")
def sparse_mm_reduce(call: Call) -> Cost:
    """Sparse product whose sum may be another reduction."""
    return _product(call, call.tensor(0), call.tensor(1))


@register_formula("aten.sparse_sampled_addmm")
def sampled_addmm(call: Call) -> Cost:
    """(sparse pattern, (m, k), (k, n)): one dot product per stored element of the pattern."""
    pattern, left = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(pattern.storage_elements, 1, left.shape[-1]), FAMILY)


@register_formula("aten._sparse_sparse_matmul")
def sparse_sparse(call: Call) -> Cost:
    """Both sparse: the expected number of meetings, nnz(a) x nnz(b) / k, where the places are independent."""
    left, right = call.tensor(0), call.tensor(1)
    meetings = left.storage_elements * right.storage_elements // max(left.shape[-1], 1)
    return replace(matrix_cost(call, Product(meetings, 1, 1), FAMILY), counted=False)


_ELEMENTWISE = {
    "aten._sparse_softmax": 5,
    "aten._sparse_log_softmax": 5,
    "aten._sparse_softmax_backward_data": 4,
    "aten._sparse_log_softmax_backward_data": 4,
    "aten._sparse_sum": 1,
    "aten._sparse_sum_backward": 0,
    "aten._sparse_csr_sum": 1,
    "aten._sparse_csr_prod": 1,
    "aten._coalesce": 1,
    "aten.coalesce": 1,
    "aten.sparse_mask": 0,
    "aten._sparse_mask_projection": 0,
    "aten.to_dense": 0,
    "aten._to_dense": 0,
    "aten.to_sparse": 0,
    "aten._to_sparse": 0,
    "aten.to_sparse_csr": 0,
    "aten._to_sparse_csr": 0,
    "aten._to_sparse_csc": 0,
    "aten._to_sparse_bsr": 0,
    "aten._to_sparse_bsc": 0,
    "aten.to_dense_backward": 0,
}
"""FLOPs per stored element of the first tensor."""


@register_formula(*_ELEMENTWISE)
def per_stored_element(call: Call) -> Cost:
    """Work on the stored elements alone."""
    return vector_cost(call, FAMILY, _ELEMENTWISE[call.operator] * call.inputs[0].storage_elements)


@register_formula("sparse.add", "sparse.mul")
def sparse_and_other(call: Call) -> Cost:
    """One FLOP for each stored element; a dense tensor changed in place is read and written only there.

    That is how an optimizer takes the gradient of an embedding with `sparse=True`.
    """
    operands = [tensor for tensor in call.inputs if elements(tensor)]
    stored = min((tensor.storage_elements for tensor in operands), default=0)
    cost = vector_cost(call, FAMILY, stored)
    if not call.operator.endswith("_"):
        return cost
    touched = [replace(tensor, storage_elements=min(tensor.storage_elements, stored)) for tensor in operands]
    return replace(cost, bytes_read=total_bytes(touched), bytes_written=total_bytes(touched[:1]))
