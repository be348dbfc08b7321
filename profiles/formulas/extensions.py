"""Operators of well-known packages beside torch: torchvision, bitsandbytes; and torch's collectives.

Signatures: torchvision/csrc/ops, bitsandbytes/_ops.py (version 0.48).
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost, elements, flatten
from profiles.formulas.call import product as size
from profiles.formulas.costs import Product, matrix_cost, movement_cost, vector_cost, view_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import element_bytes, tensor_bytes

_BILINEAR_FLOPS = 7
"""Four taps multiplied and added."""


@register_formula("torchvision.deform_conv2d", "torchvision._deform_conv2d_backward")
def deform_conv2d(call: Call) -> Cost:
    """(input, weight, offset, mask, ...): a convolution of bilinear samples; backward takes two products."""
    backward = call.operator.endswith("backward")
    weight = call.tensor(2) if backward else call.tensor(1)
    result = call.tensor(0) if backward else call.outputs[0]
    positions = elements(result) // max(weight.shape[0], 1)
    product = Product(positions, weight.shape[0], size(weight.shape[1:]))
    samples = positions * product.k * _BILINEAR_FLOPS
    return matrix_cost(call, product, "convolution", 2 if backward else 1, vector_flops=samples)


@register_formula("torchvision.nms")
def nms(call: Call) -> Cost:
    """(boxes, scores, threshold): overlap of all pairs of boxes, about 12 FLOPs a pair."""
    boxes = call.tensor(0).shape[0]
    return vector_cost(call, "other", 12 * boxes * (boxes - 1) // 2)


@register_formula("torchvision.roi_align")
def roi_align(call: Call) -> Cost:
    """(input, rois, scale, height, width, sampling_ratio, aligned): bilinear samples averaged over each bin.

    A sampling ratio of 0 depends on the sizes of the regions; two samples per dimension are assumed.
    """
    ratio = call.integer(5, "sampling_ratio")
    samples = (ratio if ratio > 0 else 2) ** 2
    cost = vector_cost(call, "pooling", call.output_elements * samples * (_BILINEAR_FLOPS + 1))
    taps = min(elements(call.tensor(0)), 4 * samples * call.output_elements)
    read = element_bytes(call.tensor(0), taps) + tensor_bytes(call.tensor(1))
    return cost.with_traffic(read, cost.bytes_written)


@register_formula("torchvision._roi_align_backward")
def roi_align_backward(call: Call) -> Cost:
    """Each element of the gradient is added at four taps of each sample; two samples per dimension are assumed."""
    return vector_cost(call, "pooling", 8 * 4 * elements(call.tensor(0)))


@register_formula("torchvision.roi_pool", "torchvision.ps_roi_align", "torchvision.ps_roi_pool")
def roi_pool(call: Call) -> Cost:
    """At least one comparison or addition per element of the output."""
    return vector_cost(call, "pooling", call.output_elements)


@register_formula("bitsandbytes.int8_linear_matmul", "bitsandbytes.int8_scaled_mm", "bitsandbytes.gemv_4bit")
def bitsandbytes_linear(call: Call) -> Cost:
    """(..., k) with an 8-bit or packed 4-bit weight: the output tells n."""
    rows, result = call.tensor(0), call.outputs[0]
    return matrix_cost(call, Product(size(rows.shape[:-1]), result.shape[-1], rows.shape[-1]))


_QUANTISE = {
    "bitsandbytes.dequantize_4bit": 1,
    "bitsandbytes.dequantize_blockwise": 1,
    "bitsandbytes.int8_mm_dequant": 2,
    "bitsandbytes.quantize_4bit": 3,
    "bitsandbytes.quantize_blockwise": 3,
    "bitsandbytes.int8_vectorwise_quant": 3,
}
"""FLOPs per element of the unpacked tensor: scale; maximum, scale, round."""


@register_formula(*_QUANTISE)
def bitsandbytes_quantise(call: Call) -> Cost:
    """Between packed and unpacked weights."""
    unpacked = max(elements(tensor) for tensor in (*call.inputs, *call.outputs))
    return vector_cost(call, "elementwise", _QUANTISE[call.operator] * unpacked)


_MOVING_COLLECTIVES = (
    "all_gather_into_tensor all_gather_into_tensor_coalesced all_to_all_single broadcast broadcast_ isend irecv"
)
_REDUCING_COLLECTIVES = (
    "all_reduce all_reduce_ all_reduce_coalesced all_reduce_coalesced_ reduce_scatter_tensor "
    "reduce_scatter_tensor_coalesced"
)


@register_formula(*(f"_c10d_functional.{name}" for name in _MOVING_COLLECTIVES.split()))
def moving_collective(call: Call) -> Cost:
    """Local memory traffic of a collective; the network is not a device's memory."""
    return movement_cost(call)


@register_formula(*(f"_c10d_functional.{name}" for name in _REDUCING_COLLECTIVES.split()))
def reducing_collective(call: Call) -> Cost:
    """One addition per element that is sent."""
    return vector_cost(call, "reduction", sum(elements(tensor) for tensor in flatten(call.args)))


register_formula("_c10d_functional.wait_tensor")(view_cost)
