"""Cost of transformers' own grouped product, which stands in for torch's where that takes bfloat16 only.

Registered through the same door as a user's formula. Every row is multiplied once, however rows fall to the experts.
"""

from __future__ import annotations

from profiles.formulas import Call, Cost, register_formula
from profiles.formulas.costs import Product, matrix_cost


@register_formula("transformers.grouped_mm_fallback")
def grouped_product(call: Call) -> Cost:
    """Rows (rows, k), each with its expert's weight of (experts, k, n)."""
    rows, weight = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(rows.shape[0], weight.shape[2], rows.shape[1]), groups=weight.shape[0])


@register_formula("transformers.grouped_mm_fallback_backward")
def grouped_product_backward(call: Call) -> Cost:
    """Two products of the same size: the gradients of the rows and of the weights."""
    rows, weight = call.tensor(0), call.tensor(1)
    product = Product(rows.shape[0], weight.shape[2], rows.shape[1])
    return matrix_cost(call, product, times=2, groups=weight.shape[0])
