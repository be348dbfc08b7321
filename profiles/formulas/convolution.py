"""Convolutions, forward and backward, as implicit matrix products.

Each element of the output map is a sum over (input channels / groups) x kernel multiply-adds (Dumoulin and Visin 2016,
arXiv:1603.07285). A transposed convolution is the gradient of one, so it does the same for each element of its INPUT
map. The gradient by the input and the gradient by the weight take as many multiply-adds as the forward pass, each.
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, matrix_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.records import TensorSpec


def implicit_product(mapped: TensorSpec, weight: TensorSpec, groups: int) -> Product:
    """Product of the map that is summed for: the output of a convolution, the input of a transposed one.

    The weight is (channels of that map, channels of the other map / groups, *kernel) either way.
    """
    spatial = len(weight.shape) - 2
    positions = size(mapped.shape[-spatial:])
    batch = elements(mapped) // max(weight.shape[0] * positions, 1)
    return Product(batch * positions, weight.shape[0] // groups, size(weight.shape[1:]), groups)


@register_formula("aten.convolution", "aten._convolution", "aten.convolution_overrideable")
def convolution(call: Call) -> Cost:
    """(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)."""
    mapped = call.tensor(0) if call.flag(6, "transposed") else call.outputs[0]
    groups = call.integers(8, "groups")[0]
    return matrix_cost(call, implicit_product(mapped, call.tensor(1), groups), "convolution")


@register_formula("aten.convolution_backward", "aten.convolution_backward_overrideable")
def convolution_backward(call: Call) -> Cost:
    """(grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, mask)."""
    mapped = call.tensor(1) if call.flag(7, "transposed") else call.tensor(0)
    product = implicit_product(mapped, call.tensor(2), call.integers(9, "groups")[0])
    mask = call.argument(10, "output_mask")
    assert isinstance(mask, tuple)
    return _backward_cost(call, product, tuple(bool(wanted) for wanted in mask))


def _backward_cost(call: Call, product: Product, wanted: tuple[bool, ...]) -> Cost:
    """One product for each of the two gradients that is wanted; the bias gradient is a sum over the output map."""
    products = sum(wanted[:2])
    if products:
        return matrix_cost(call, product, "convolution", products)
    return vector_cost(call, "convolution", elements(call.tensor(0)) if any(wanted) else 0)
