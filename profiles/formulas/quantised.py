"""Quantised layers (8-bit and 4-bit weights) and the quantisation itself.

torch packs the weight of a quantised layer into an object. Where the call carries the unpacked weight as a tensor, it
is taken; a linear layer is exact without it, a convolution is not and stays an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from profiles.formulas.call import Call, Cost, elements, flatten
from profiles.formulas.call import product as size
from profiles.formulas.convolution import implicit_product
from profiles.formulas.costs import Product, matrix_cost, movement_cost, unknown_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import total_bytes

_LINEAR: Mapping[str, int] = MappingProxyType(
    {
        "linear": 1,
        "linear_relu": 1,
        "linear_leaky_relu": 1,
        "linear_tanh": 1,
        "linear_dynamic": 1,
        "linear_relu_dynamic": 1,
        "linear_dynamic_fp16": 2,
        "linear_relu_dynamic_fp16": 2,
        "linear_with_input_q_dq_qweight_dq_output_fp32": 1,
        "linear_with_input_q_dq_qweight_dq_relu_output_fp32": 1,
    }
)
"""Bytes of one packed weight by operator."""


@register_formula(*(f"quantized.{name}" for name in _LINEAR))
def quantised_linear(call: Call) -> Cost:
    """(x, packed weight, ...): (..., k) to (..., n); the weight is read from its packed form."""
    rows = call.tensor(0)
    inner, outputs = rows.shape[-1], call.outputs[0].shape[-1]
    cost = matrix_cost(call, Product(size(rows.shape[:-1]), outputs, inner))
    weight_bytes = inner * outputs * _LINEAR[call.operator.removeprefix("quantized.")]
    return cost.with_traffic(total_bytes((rows,)) + weight_bytes, cost.bytes_written)


_CONVOLUTIONS = (
    "conv1d conv1d_relu conv1d_dynamic conv2d conv2d_relu conv2d_add conv2d_add_relu conv2d_dynamic conv3d conv3d_relu "
    "conv3d_dynamic"
)
_TRANSPOSED = (
    "conv_transpose1d conv_transpose1d_dynamic conv_transpose2d conv_transpose2d_dynamic conv_transpose3d "
    "conv_transpose3d_dynamic"
)


@register_formula(*(f"quantized.{name}" for name in f"{_CONVOLUTIONS} {_TRANSPOSED}".split()))
def quantised_convolution(call: Call) -> Cost:
    """(x, packed weight, ...): the groups follow from the channels of the maps and of the weight."""
    weight = next((tensor for tensor in flatten(call.args[1:]) if len(tensor.shape) > 2), None)
    if weight is None or not call.outputs:
        return unknown_cost(call)
    image, result = call.tensor(0), call.outputs[0]
    transposed = call.operator.startswith("quantized.conv_transpose")
    mapped, other = (image, result) if transposed else (result, image)
    channel = len(other.shape) - (len(weight.shape) - 1)
    groups = other.shape[channel] // max(weight.shape[1], 1)
    return matrix_cost(call, implicit_product(mapped, weight, groups), "convolution")


@register_formula("quantized.matmul")
def quantised_matmul(call: Call) -> Cost:
    """(..., m, k) @ (..., k, n)."""
    left, right = call.tensor(0).shape, call.tensor(1).shape
    batch = call.output_elements // max(left[-2] * right[-1], 1)
    return matrix_cost(call, Product(left[-2], right[-1], left[-1], batch))


@register_formula("mkldnn._linear_pointwise", "onednn.linear_dynamic_fp16", "onednn.linear_relu_dynamic_fp16")
def linear_pointwise(call: Call) -> Cost:
    """(..., k) to (..., n), with a fused element-wise operation."""
    rows = call.tensor(0)
    product = Product(size(rows.shape[:-1]), call.outputs[0].shape[-1], rows.shape[-1])
    return matrix_cost(call, product, vector_flops=call.output_elements)


_PER_ELEMENT: Mapping[str, int] = MappingProxyType(
    {
        "aten.quantize_per_tensor": 5,  # divide, round, add the zero point, two bounds
        "aten.quantize_per_tensor_dynamic": 7,
        "aten.quantize_per_channel": 5,
        "aten.dequantize": 2,  # subtract the zero point, scale
        "aten.fake_quantize_per_tensor_affine": 7,
        "aten.fake_quantize_per_tensor_affine_cachemask": 8,
        "aten.fake_quantize_per_channel_affine": 7,
        "aten.fake_quantize_per_channel_affine_cachemask": 8,
        "aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams": 8,
        "aten._fake_quantize_learnable_per_tensor_affine": 7,
        "aten._fake_quantize_learnable_per_channel_affine": 7,
        "aten._fake_quantize_learnable_per_tensor_affine_backward": 10,
        "aten._fake_quantize_learnable_per_channel_affine_backward": 10,
        "aten.fake_quantize_per_tensor_affine_cachemask_backward": 1,
        "aten.fake_quantize_per_channel_affine_cachemask_backward": 1,
        "aten.fused_moving_avg_obs_fake_quant": 10,  # minimum, maximum, then as above
        "aten._fused_moving_avg_obs_fq_helper": 10,
        "aten._fused_moving_avg_obs_fq_helper_functional": 10,
        "aten._choose_qparams_per_tensor": 2,
        "aten.choose_qparams_optimized": 2,
        "quantized.add": 1,
        "quantized.add_relu": 2,
        "quantized.add_scalar": 1,
        "quantized.mul": 1,
        "quantized.mul_relu": 2,
        "quantized.mul_scalar": 1,
        "quantized.relu6": 2,
        "quantized.leaky_relu": 2,
        "quantized.hardswish": 5,
        "quantized.sigmoid": 4,
        "quantized.elu": 5,
        "quantized.softmax": 5,
        "quantized.batch_norm": 4,
        "quantized.batch_norm1d": 4,
        "quantized.batch_norm2d": 4,
        "quantized.batch_norm3d": 4,
        "quantized.batch_norm2d_relu": 5,
        "quantized.layer_norm": 7,
        "quantized.group_norm": 7,
        "quantized.instance_norm": 7,
    }
)
"""FLOPs per element of the first tensor; the conversions inside a quantised layer are not counted."""


@register_formula(*_PER_ELEMENT)
def per_element(call: Call) -> Cost:
    """Element-wise work on the first tensor."""
    return vector_cost(call, "elementwise", _PER_ELEMENT[call.operator] * elements(call.inputs[0]))


@register_formula("quantized.cat", "quantized.dropout", "aten.int_repr")
def quantised_movement(call: Call) -> Cost:
    """Data movement."""
    return movement_cost(call)
