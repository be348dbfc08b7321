"""Convolutions, forward and backward, as implicit matrix products.

Each element of the output map is a sum over (input channels / groups) x kernel multiply-adds (Dumoulin and Visin 2016,
arXiv:1603.07285). A transposed convolution is the gradient of one, so it does the same for each element of its INPUT
map. The gradient by the input and the gradient by the weight take as many multiply-adds as the forward pass, each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, matrix_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import tensor_bytes
from profiles.records import TensorSpec


def implicit_product(mapped: TensorSpec, weight: TensorSpec, groups: int) -> Product:
    """Product over the map that is summed for: the output of a convolution, the input of a transposed one.

    The weight is (channels of that map, channels of the other map / groups, *kernel) either way; the map may come
    without a batch dimension.
    """
    positions = elements(mapped) // max(weight.shape[0], 1)
    return Product(positions, weight.shape[0] // groups, size(weight.shape[1:]), groups)


def shape_dims(other: TensorSpec, weight: TensorSpec, groups: int) -> dict[str, int]:
    """Elements of the kernel, and positions of the map that is not summed for (their ratio to m is the stride).

    They decide which algorithm a library picks: a 3 x 3 kernel of stride 1 may run as Winograd's.
    """
    channels = weight.shape[1] * groups
    return {"kernel": size(weight.shape[2:]), "positions": elements(other) // max(channels, 1)}


def _forward(call: Call, transposed: bool, groups: int, bias: object) -> Cost:
    """Cost of input (0) and weight (1) of any of the forward operators."""
    maps = (call.outputs[0], call.tensor(0))
    mapped, other = maps[::-1] if transposed else maps
    product = implicit_product(mapped, call.tensor(1), groups)
    more_dims = shape_dims(other, call.tensor(1), groups)
    vector_flops = 0 if bias is None else call.output_elements
    return matrix_cost(call, product, "convolution", vector_flops=vector_flops, **more_dims)


@register_formula("aten.convolution", "aten._convolution", "aten.convolution_overrideable")
def convolution(call: Call) -> Cost:
    """(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)."""
    return _forward(call, call.flag(6, "transposed"), call.integer(8, "groups"), call.argument(2, "bias"))


@dataclass(frozen=True, slots=True)
class _Signature:
    """Where an operator has its groups and bias (None: it has no such argument), and whether it is transposed."""

    groups: int | None
    bias: int | None
    transposed: bool = False


_SIGNATURES = {
    "conv1d": _Signature(6, 2),
    "conv2d": _Signature(6, 2),
    "conv3d": _Signature(6, 2),
    "_convolution_mode": _Signature(6, 2),
    "conv_transpose1d": _Signature(6, 2, transposed=True),
    "conv_transpose2d": _Signature(6, 2, transposed=True),
    "conv_transpose3d": _Signature(6, 2, transposed=True),
    "mkldnn_convolution": _Signature(6, 2),
    "_mps_convolution": _Signature(6, 2),
    "cudnn_convolution": _Signature(5, None),
    "cudnn_convolution_transpose": _Signature(6, None, transposed=True),
    "cudnn_convolution_relu": _Signature(6, 2),
    "cudnn_convolution_add_relu": _Signature(8, 4),
    "miopen_convolution": _Signature(6, 2),
    "miopen_convolution_transpose": _Signature(7, 2, transposed=True),
    "miopen_convolution_relu": _Signature(6, 2),
    "miopen_convolution_add_relu": _Signature(8, 4),
    "miopen_depthwise_convolution": _Signature(6, 2),
    "slow_conv3d": _Signature(None, 3),
    "slow_conv3d_forward": _Signature(None, 3),
    "slow_conv_dilated2d": _Signature(None, 3),
    "slow_conv_dilated3d": _Signature(None, 3),
    "slow_conv_transpose2d": _Signature(None, 3, transposed=True),
    "slow_conv_transpose3d": _Signature(None, 3, transposed=True),
    "_slow_conv2d_forward": _Signature(None, 3),
    "thnn_conv2d": _Signature(None, 3),
    "_nnpack_spatial_convolution": _Signature(None, 2),
}
"""Schemas from torch's native_functions.yaml."""


def _formula(signature: _Signature) -> Callable[[Call], Cost]:
    """Formula of a forward operator with this signature."""

    def formula(call: Call) -> Cost:
        groups = 1 if signature.groups is None else call.integer(signature.groups, "groups", 1)
        bias = None if signature.bias is None else call.argument(signature.bias, "bias")
        return _forward(call, signature.transposed, groups, bias)

    return formula


for _name, _signature in _SIGNATURES.items():
    register_formula(f"aten.{_name}")(_formula(_signature))


@register_formula("aten._conv_depthwise2d", "aten.conv_depthwise3d")
def depthwise(call: Call) -> Cost:
    """(input, weight, kernel_size, bias, ...): one group per input channel."""
    channels = call.tensor(1).shape[0] // max(call.tensor(1).shape[1], 1)
    return _forward(call, False, channels, call.argument(3, "bias"))


@register_formula("aten.conv_tbc")
def conv_tbc(call: Call) -> Cost:
    """Input (time, batch, channels), weight (kernel, channels in, channels out)."""
    kernel, channels, outputs = call.tensor(1).shape
    positions = call.output_elements // max(outputs, 1)
    return matrix_cost(call, Product(positions, outputs, kernel * channels), "convolution")


@register_formula("aten.conv_tbc_backward")
def conv_tbc_backward(call: Call) -> Cost:
    """(grad_output, input, weight, bias, pad): both gradients."""
    kernel, channels, outputs = call.tensor(2).shape
    positions = elements(call.tensor(0)) // max(outputs, 1)
    return matrix_cost(call, Product(positions, outputs, kernel * channels), "convolution", 2)


@register_formula("aten.convolution_backward")
def convolution_backward(call: Call) -> Cost:
    """(grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, mask)."""
    return _backward(call, call.flag(7, "transposed"), call.integer(9, "groups"), call.flags(10, "output_mask"))


@register_formula("aten.convolution_backward_overrideable")
def convolution_backward_overrideable(call: Call) -> Cost:
    """(grad_output, input, weight, stride, padding, dilation, transposed, output_padding, groups, output_mask)."""
    return _backward(call, call.flag(6, "transposed"), call.integer(8, "groups"), call.flags(9, "output_mask"))


@register_formula("aten._slow_conv2d_backward")
def slow_conv2d_backward(call: Call) -> Cost:
    """(grad_output, input, weight, kernel_size, stride, padding, output_mask)."""
    return _backward(call, False, 1, call.flags(6, "output_mask") or (True, True, True))


def _backward(call: Call, transposed: bool, groups: int, mask: tuple[bool, ...]) -> Cost:
    """One product for each of the gradients of input and weight that is wanted; the bias gradient is a sum.

    The weight is read for the gradient by the input alone, the input for that by the weight alone.
    """
    gradient, mapped, weight = call.tensor(0), call.tensor(1), call.tensor(2)
    by_input, by_weight, by_bias = mask
    bias_flops = elements(gradient) if by_bias else 0
    if by_input or by_weight:
        summed, other = (mapped, gradient) if transposed else (gradient, mapped)
        product = implicit_product(summed, weight, groups)
        more_dims = {"vector_flops": bias_flops, **shape_dims(other, weight, groups)}
        cost = matrix_cost(call, product, "convolution", by_input + by_weight, **more_dims)
    else:
        cost = vector_cost(call, "convolution", bias_flops)
    read = tensor_bytes(gradient) + by_input * tensor_bytes(weight) + by_weight * tensor_bytes(mapped)
    return cost.with_traffic(read, cost.bytes_written)
