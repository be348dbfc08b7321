"""Dense products: (m x k) times (k x n) is m*n*k multiply-adds, 2 FLOPs each (Golub and Van Loan, Matrix Computations).

The addend of addmm and its like is added inside the kernel; it is read, and not read where beta is 0.
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, matrix_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import tensor_bytes


def _without_addend(call: Call, cost: Cost) -> Cost:
    """Do not charge reading the addend where it is multiplied by zero."""
    if dict(call.kwargs).get("beta", 1) != 0:
        return cost
    return cost.with_traffic(cost.bytes_read - tensor_bytes(call.tensor(0)), cost.bytes_written)


@register_formula("aten.mm", "aten._int_mm", "aten._scaled_mm", "aten._scaled_mm_v2")
def mm(call: Call) -> Cost:
    """(m, k) @ (k, n)."""
    left, right = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1]))


@register_formula("aten.addmm", "aten._addmm_activation")
def addmm(call: Call) -> Cost:
    """Addend + (m, k) @ (k, n)."""
    left, right = call.tensor(1), call.tensor(2)
    return _without_addend(call, matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1])))


@register_formula("aten.bmm")
def bmm(call: Call) -> Cost:
    """(b, m, k) @ (b, k, n)."""
    left, right = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(left.shape[1], right.shape[2], left.shape[2], left.shape[0]))


@register_formula("aten.baddbmm", "aten.addbmm")
def baddbmm(call: Call) -> Cost:
    """Addend + (b, m, k) @ (b, k, n); addbmm also adds up over b."""
    left, right = call.tensor(1), call.tensor(2)
    cost = matrix_cost(call, Product(left.shape[1], right.shape[2], left.shape[2], left.shape[0]))
    return _without_addend(call, cost)


@register_formula("aten.mv")
def mv(call: Call) -> Cost:
    """(m, k) @ (k)."""
    matrix = call.tensor(0)
    return matrix_cost(call, Product(matrix.shape[0], 1, matrix.shape[1]))


@register_formula("aten.addmv")
def addmv(call: Call) -> Cost:
    """Addend + (m, k) @ (k)."""
    matrix = call.tensor(1)
    return _without_addend(call, matrix_cost(call, Product(matrix.shape[0], 1, matrix.shape[1])))


@register_formula("aten.dot", "aten.vdot")
def dot(call: Call) -> Cost:
    """(k) with (k): k multiply-adds."""
    return matrix_cost(call, Product(1, 1, elements(call.tensor(0))))


@register_formula("aten.addr")
def addr(call: Call) -> Cost:
    """Addend + outer product of (m) and (n): m*n multiply-adds."""
    return _without_addend(call, matrix_cost(call, Product(elements(call.tensor(1)), elements(call.tensor(2)), 1)))


@register_formula("aten.linear")
def linear(call: Call) -> Cost:
    """(..., k) with a weight of (n, k) or (k)."""
    rows, weight = call.tensor(0), call.tensor(1)
    outputs = weight.shape[0] if len(weight.shape) == 2 else 1
    return matrix_cost(call, Product(size(rows.shape[:-1]), outputs, rows.shape[-1]))


@register_formula("aten.matmul")
def matmul(call: Call) -> Cost:
    """Any of the products of torch.matmul, with broadcast batches."""
    left, right = call.tensor(0).shape, call.tensor(1).shape
    m = left[-2] if len(left) > 1 else 1
    n = right[-1] if len(right) > 1 else 1
    batch = elements(call.outputs[0]) // max(m * n, 1)
    return matrix_cost(call, Product(m, n, left[-1], batch))
