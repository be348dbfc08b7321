"""Dense products: (m x k) times (k x n) is m*n*k multiply-adds, 2 FLOPs each (Golub and Van Loan, Matrix Computations).

The addend of addmm and its like is added inside the kernel: its additions are `vector_flops`, and it is not read where
beta is 0.
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, matrix_cost, products_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import tensor_bytes


def _with_addend(call: Call, product: Product) -> Cost:
    """Product plus the first argument, which is neither added nor read where beta is 0."""
    if call.keyword("beta", 1) != 0:
        return matrix_cost(call, product, vector_flops=call.output_elements)
    cost = matrix_cost(call, product)
    return cost.with_traffic(cost.bytes_read - tensor_bytes(call.tensor(0)), cost.bytes_written)


def _bias_flops(call: Call, bias: object) -> int:
    """One addition per output element where there is a bias."""
    return 0 if bias is None else call.output_elements


@register_formula("aten.mm", "aten._int_mm")
def mm(call: Call) -> Cost:
    """(m, k) @ (k, n)."""
    left, right = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1]))


@register_formula("aten.addmm", "aten._addmm_activation")
def addmm(call: Call) -> Cost:
    """Addend + (m, k) @ (k, n)."""
    left, right = call.tensor(1), call.tensor(2)
    return _with_addend(call, Product(left.shape[0], right.shape[1], left.shape[1]))


@register_formula("aten.bmm")
def bmm(call: Call) -> Cost:
    """(b, m, k) @ (b, k, n)."""
    left, right = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(left.shape[1], right.shape[2], left.shape[2], left.shape[0]))


@register_formula("aten.baddbmm", "aten.addbmm")
def baddbmm(call: Call) -> Cost:
    """Addend + (b, m, k) @ (b, k, n); addbmm also adds up over b."""
    left, right = call.tensor(1), call.tensor(2)
    return _with_addend(call, Product(left.shape[1], right.shape[2], left.shape[2], left.shape[0]))


@register_formula("aten.mv")
def mv(call: Call) -> Cost:
    """(m, k) @ (k)."""
    matrix = call.tensor(0)
    return matrix_cost(call, Product(matrix.shape[0], 1, matrix.shape[1]))


@register_formula("aten.addmv")
def addmv(call: Call) -> Cost:
    """Addend + (m, k) @ (k)."""
    matrix = call.tensor(1)
    return _with_addend(call, Product(matrix.shape[0], 1, matrix.shape[1]))


@register_formula("aten.dot", "aten.vdot")
def dot(call: Call) -> Cost:
    """(k) with (k): k multiply-adds."""
    return matrix_cost(call, Product(1, 1, elements(call.tensor(0))))


@register_formula("aten.linalg_vecdot")
def vecdot(call: Call) -> Cost:
    """One dot product per output element."""
    rows = call.output_elements
    length = max(elements(tensor) for tensor in call.inputs) // max(rows, 1)
    return matrix_cost(call, Product(1, 1, length, rows))


@register_formula("aten.addr")
def addr(call: Call) -> Cost:
    """Addend + outer product of (m) and (n): m*n multiply-adds, the addition of the addend among them."""
    return matrix_cost(call, Product(elements(call.tensor(1)), elements(call.tensor(2)), 1))


@register_formula("aten.linear", "aten.mkldnn_linear")
def linear(call: Call) -> Cost:
    """(..., k) with a weight of (n, k) or (k), plus a bias."""
    rows, weight = call.tensor(0), call.tensor(1)
    outputs = weight.shape[0] if len(weight.shape) == 2 else 1
    product = Product(size(rows.shape[:-1]), outputs, rows.shape[-1])
    return matrix_cost(call, product, vector_flops=_bias_flops(call, call.argument(2, "bias")))


@register_formula("aten.linear_backward", "aten.mkldnn_linear_backward")
def linear_backward(call: Call) -> Cost:
    """(input, grad_output, weight, output_mask): one product for each of the gradients of input and weight."""
    rows, weight = call.tensor(0), call.tensor(2)
    product = Product(size(rows.shape[:-1]), weight.shape[0], rows.shape[-1])
    return matrix_cost(call, product, times=sum(call.flags(3, "output_mask")[:2]))


@register_formula("aten.mkldnn_linear_backward_input", "aten.mkldnn_linear_backward_weights")
def linear_gradient(call: Call) -> Cost:
    """One of the two gradients: as many multiply-adds as the forward pass."""
    weight = call.tensor(2)
    gradient = call.tensor(1) if call.operator.endswith("input") else call.tensor(0)
    return matrix_cost(call, Product(size(gradient.shape[:-1]), weight.shape[0], weight.shape[1]))


@register_formula("aten.matmul", "aten.linalg_matmul")
def matmul(call: Call) -> Cost:
    """Any of the products of torch.matmul, with broadcast batches."""
    left, right = call.tensor(0).shape, call.tensor(1).shape
    m = left[-2] if len(left) > 1 else 1
    n = right[-1] if len(right) > 1 else 1
    return matrix_cost(call, Product(m, n, left[-1], call.output_elements // max(m * n, 1)))


@register_formula("aten.matmul_backward")
def matmul_backward(call: Call) -> Cost:
    """(grad, left, right, mask): as many multiply-adds as the forward pass for each gradient that is wanted."""
    gradient, left = call.tensor(0), call.tensor(1)
    columns = gradient.shape[-1] if len(call.tensor(2).shape) > 1 else 1
    product = Product(elements(gradient) // max(columns, 1), columns, left.shape[-1])
    return matrix_cost(call, product, times=sum(call.flags(3, "mask")))


@register_formula("aten.inner")
def inner(call: Call) -> Cost:
    """(..., k) with (..., k): one dot product per output element."""
    left, right = call.tensor(0).shape, call.tensor(1).shape
    if not left or not right:
        return matrix_cost(call, Product(1, call.output_elements, 1))
    return matrix_cost(call, Product(size(left[:-1]), size(right[:-1]), left[-1]))


@register_formula("aten.tensordot")
def tensordot(call: Call) -> Cost:
    """Sum over the named dimensions of the left tensor; the other dimensions of both remain."""
    left, right = call.tensor(0), call.tensor(1)
    summed = size(tuple(left.shape[dim] for dim in call.integers(2, "dims_self")))
    return matrix_cost(call, Product(elements(left) // max(summed, 1), elements(right) // max(summed, 1), summed))


@register_formula("aten._trilinear")
def trilinear(call: Call) -> Cost:
    """(i1, i2, i3, expand1, expand2, expand3, sumdim): two products in turn, as torch computes it.

    First i1 with i2, summed over the dimensions that i3 does not have, then with i3, summed over the rest. `bilinear`
    of (b, i) and (b, j) with a weight of (o, i, j) is so 2*b*o*i*j + 2*b*o*j FLOPs.
    """
    space = _joint_shape(call)
    missing_in_third = set(call.integers(5, "expand3"))
    early = missing_in_third & set(call.integers(6, "sumdim"))
    summed = size(tuple(space[dim] for dim in early))
    first = Product(size(space) // max(summed, 1), 1, summed)
    late = tuple(space[dim] for dim in range(len(space)) if dim not in early)
    return products_cost(call, (first, Product(size(late), 1, 1)), "matmul")


def _joint_shape(call: Call) -> tuple[int, ...]:
    """Broadcast shape of the three tensors of _trilinear after each is given its missing dimensions."""
    shapes = []
    for position in range(3):
        shape = list(call.tensor(position).shape)
        for dim in sorted(call.integers(position + 3)):
            shape.insert(dim, 1)
        shapes.append(shape)
    return tuple(max(sizes) for sizes in zip(*shapes, strict=True))


@register_formula("aten._foreach_mm")
def foreach_mm(call: Call) -> Cost:
    """A list of products."""
    pairs = zip(call.tensors(0), call.tensors(1), strict=True)
    products = tuple(Product(left.shape[0], right.shape[1], left.shape[1]) for left, right in pairs)
    return products_cost(call, products, "matmul")
