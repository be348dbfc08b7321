"""Normalisation layers, forward and backward.

Forward: mean 1, subtract 1, square and sum 2, times the inverse deviation 1, weight 1, bias 1: 7 FLOPs per element with
both. Work per row or channel (the divisions, the square root) is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import total_bytes
from profiles.records import TensorSpec

FAMILY = "normalisation"


def _present(*values: object) -> int:
    """How many of the optional tensors are there."""
    return sum(isinstance(value, TensorSpec) for value in values)


@dataclass(frozen=True, slots=True)
class _Affine:
    """Positions of weight and bias."""

    weight: int
    bias: int


_CENTERED = {
    "native_layer_norm": _Affine(2, 3),
    "layer_norm": _Affine(2, 3),
    "native_group_norm": _Affine(1, 2),
    "group_norm": _Affine(2, 3),
}


@register_formula(*(f"aten.{name}" for name in _CENTERED))
def centered_norm(call: Call) -> Cost:
    """Layer norm (Ba et al. 2016, arXiv:1607.06450) and group norm (Wu and He 2018, arXiv:1803.08494)."""
    affine = _CENTERED[call.operator.removeprefix("aten.")]
    per_element = 5 + _present(call.argument(affine.weight, "weight"), call.argument(affine.bias, "bias"))
    return vector_cost(call, FAMILY, per_element * elements(call.tensor(0)))


@register_formula("aten.native_layer_norm_backward", "aten.native_group_norm_backward")
def centered_norm_backward(call: Call) -> Cost:
    """By the input 9 (normalise again 2, two sums 3, combine 4) and 1 with a weight; by the weight 2; by the bias 1."""
    weight, mask = (5, 7) if "layer" in call.operator else (4, 9)
    by_input, by_weight, by_bias = call.flags(mask, "output_mask")
    has_weight = _present(call.argument(weight, "weight"))
    normalise_again = 0 if by_input else 2
    per_element = by_input * (9 + has_weight) + by_weight * (2 + normalise_again) + by_bias
    return vector_cost(call, FAMILY, per_element * elements(call.tensor(1)))


@register_formula("aten._fused_rms_norm", "aten.rms_norm")
def rms_norm(call: Call) -> Cost:
    """RMS norm (Zhang and Sennrich 2019, arXiv:1910.07467): square and sum 2, scale 1, weight 1."""
    return vector_cost(call, FAMILY, (3 + _present(call.argument(2, "weight"))) * elements(call.tensor(0)))


@register_formula("aten._fused_rms_norm_backward")
def rms_norm_backward(call: Call) -> Cost:
    """By the input 6 (normalise again 1, sum of products 2, combine 3) and 1 with a weight; by the weight 2."""
    by_input, by_weight = call.flags(5, "output_mask")
    has_weight = _present(call.argument(4, "weight"))
    per_element = by_input * (6 + has_weight) + by_weight * (2 if by_input else 3)
    return vector_cost(call, FAMILY, per_element * elements(call.tensor(1)))


_TRAINING_FLAG = {
    "native_batch_norm": 5,
    "_native_batch_norm_legit": 5,
    "_native_batch_norm_legit_functional": 5,
    "cudnn_batch_norm": 5,
    "miopen_batch_norm": 5,
    "batch_norm": 5,
    "_batch_norm_impl_index": 5,
    "instance_norm": 5,
}
"""Position of the flag that says whether the batch's own statistics are taken."""


def _running_bytes(call: Call) -> int:
    """Bytes of the running statistics, which training writes."""
    return total_bytes(tensor for tensor in (call.optional_tensor(3), call.optional_tensor(4)) if tensor)


def _batch_norm(call: Call, training: bool, writes_running: bool) -> Cost:
    """Statistics 4 where they are taken; normalise and scale: 2 without weight, 1 more each for weight and bias."""
    affine = _present(call.argument(1, "weight"), call.argument(2, "bias"))
    per_element = (5 if training else 2) + affine
    cost = vector_cost(call, FAMILY, per_element * elements(call.tensor(0)))
    written = cost.bytes_written + (_running_bytes(call) if writes_running else 0)
    return cost.with_traffic(cost.bytes_read, written)


@register_formula(*(f"aten.{name}" for name in _TRAINING_FLAG))
def batch_norm(call: Call) -> Cost:
    """Batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167); training also writes the running statistics."""
    no_stats = call.overload == "no_stats"
    training = call.flag(3 if no_stats else _TRAINING_FLAG[call.operator.removeprefix("aten.")], "training")
    in_place = not (no_stats or call.operator.endswith("functional"))
    return _batch_norm(call, training, writes_running=training and in_place)


@register_formula("aten._native_batch_norm_legit_no_training", "aten._batch_norm_no_update")
def batch_norm_inference(call: Call) -> Cost:
    """Batch norm with the running statistics."""
    return _batch_norm(call, training=False, writes_running=False)


@register_formula("aten._batch_norm_with_update", "aten._batch_norm_with_update_functional")
def batch_norm_update(call: Call) -> Cost:
    """Batch norm in training."""
    return _batch_norm(call, training=True, writes_running=not call.operator.endswith("functional"))


def _batch_norm_backward(call: Call, training: bool, mask: tuple[bool, ...]) -> Cost:
    """In training by the input 9 (normalise again 2, two sums 3, combine 4), which gives weight and bias for nothing.

    With fixed statistics by the input 1, by the weight 4, by the bias 1.
    """
    by_input, by_weight, by_bias = mask
    per_element = by_input + 4 * by_weight + by_bias
    if training and by_input:
        per_element = 9
    return vector_cost(call, FAMILY, per_element * elements(call.tensor(0)))


@register_formula("aten.native_batch_norm_backward", "aten.batch_norm_backward")
def native_batch_norm_backward(call: Call) -> Cost:
    """(grad_out, input, weight, running_mean, running_var, save_mean, save_var, update, eps, output_mask, ...)."""
    return _batch_norm_backward(call, call.flag(7, "update"), call.flags(9, "output_mask"))


@register_formula("aten.cudnn_batch_norm_backward", "aten.miopen_batch_norm_backward")
def cudnn_batch_norm_backward(call: Call) -> Cost:
    """All three gradients, in training."""
    return _batch_norm_backward(call, True, (True, True, True))


_SYNCHRONISED = {
    "batch_norm_stats": 4,  # mean 1, subtract 1, square and sum 2
    "batch_norm_elemt": 4,  # subtract, scale, weight, bias
    "batch_norm_backward_reduce": 5,  # subtract, scale, two sums of 1 and 2
    "batch_norm_backward_elemt": 5,
    "batch_norm_gather_stats": 4,
    "batch_norm_gather_stats_with_counts": 4,
    "batch_norm_update_stats": 4,
    "_weight_norm_interface": 3,  # square, sum, scale
    "_weight_norm": 3,
    "_weight_norm_interface_backward": 6,  # sum of products 2, combine 4
    "_weight_norm_differentiable_backward": 6,
    "norm_except_dim": 2,
    "renorm": 3,
}
"""Parts of the batch norm over several devices, and weight norm: FLOPs per element of the first tensor."""


@register_formula(*(f"aten.{name}" for name in _SYNCHRONISED))
def norm_part(call: Call) -> Cost:
    """Parts of the synchronised batch norm, weight norm (Salimans and Kingma 2016, arXiv:1602.07868), renorm."""
    return vector_cost(call, FAMILY, _SYNCHRONISED[call.operator.removeprefix("aten.")] * elements(call.inputs[0]))
