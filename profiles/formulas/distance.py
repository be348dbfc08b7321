"""Distances between all pairs of rows.

The Euclidean distance of rows of length d is d multiply-adds per pair and, as vector work, d subtractions and a root.
Other norms take the same operations on the vector engine: subtract, raise to a power, add.
"""

from __future__ import annotations

from dataclasses import replace

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import Product, matrix_cost, vector_cost
from profiles.formulas.registry import register_formula


def _pairs_cost(call: Call, product: Product, norm: object) -> Cost:
    """Cost of all pairs: a product where the norm is Euclidean, else three vector operations per component."""
    if norm == 2:
        vector_flops = product.multiply_adds + call.output_elements
        return matrix_cost(call, product, vector_flops=vector_flops)
    return vector_cost(call, "other", 3 * product.multiply_adds)


@register_formula("aten._cdist_forward", "aten.cdist")
def cdist(call: Call) -> Cost:
    """(..., p, d) against (..., r, d)."""
    left, right = call.tensor(0).shape, call.tensor(1).shape
    batch = call.output_elements // max(left[-2] * right[-2], 1)
    return _pairs_cost(call, Product(left[-2], right[-2], left[-1], batch), call.argument(2, "p", 2.0))


@register_formula("aten._euclidean_dist")
def euclidean_dist(call: Call) -> Cost:
    """The same by one product, |a|^2 - 2 a b + |b|^2, for which rows of length d + 2 are multiplied."""
    left, right = call.tensor(0).shape, call.tensor(1).shape
    batch = call.output_elements // max(left[-2] * right[-2], 1)
    norms = 2 * sum(elements(tensor) for tensor in call.inputs)
    product = Product(left[-2], right[-2], left[-1], batch)
    cost = matrix_cost(call, product, vector_flops=norms + call.output_elements)
    return replace(cost, executed_flops=2 * replace(product, k=product.k + 2).multiply_adds)


@register_formula("aten._cdist_backward")
def cdist_backward(call: Call) -> Cost:
    """(grad, x1, x2, p, distances): per pair and component a subtraction, a scaling and an addition."""
    return vector_cost(call, "other", 3 * elements(call.tensor(0)) * call.tensor(1).shape[-1])


@register_formula("aten._pdist_forward", "aten.pdist")
def pdist(call: Call) -> Cost:
    """All pairs of the rows of one matrix, each once."""
    return _pairs_cost(call, Product(call.output_elements, 1, call.tensor(0).shape[-1]), call.argument(1, "p", 2.0))


@register_formula("aten._pdist_backward")
def pdist_backward(call: Call) -> Cost:
    """(grad, self, p, distances): per pair and component a subtraction, a scaling and two additions."""
    return vector_cost(call, "other", 4 * elements(call.tensor(0)) * call.tensor(1).shape[-1])


_ROWWISE = {"pairwise_distance": 3, "cosine_similarity": 6}
"""FLOPs per element of the first tensor: subtract, square, add; three dot products."""


@register_formula(*(f"aten.{name}" for name in _ROWWISE))
def rowwise(call: Call) -> Cost:
    """Distance of each row to its partner."""
    flops = _ROWWISE[call.operator.removeprefix("aten.")]
    return vector_cost(call, "reduction", flops * max(elements(tensor) for tensor in call.inputs))


@register_formula("aten.linalg_cross", "aten.cross")
def cross(call: Call) -> Cost:
    """Cross products: two multiplications and a subtraction per element."""
    return vector_cost(call, "elementwise", 3 * call.output_elements)


@register_formula("aten.kron")
def kron(call: Call) -> Cost:
    """One multiplication per element of the output."""
    return vector_cost(call, "elementwise", call.output_elements)
