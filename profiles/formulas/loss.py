"""Loss functions; each count is written out as the operations of the formula beside it, the sum over elements added."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import element_bytes, total_bytes

FAMILY = "loss"
_REDUCED: Mapping[str, int] = MappingProxyType(
    {
        "mse_loss": 2,  # (x - t)^2
        "l1_loss": 2,  # |x - t|
        "smooth_l1_loss": 6,  # d = |x - t|; d < b ? d^2 / (2 b) : d - b / 2
        "huber_loss": 6,
        "binary_cross_entropy": 8,  # -(t log(x) + (1 - t) log(1 - x))
        "binary_cross_entropy_with_logits": 8,  # (1 - t) x - logsigmoid(x)
        "soft_margin_loss": 4,  # log1p(exp(-t x))
        "kl_div": 4,  # t (log(t) - x)
        "multi_margin_loss": 4,  # max(0, m - x_y + x)
        "multilabel_margin_loss": 4,
        "multilabel_margin_loss_forward": 4,
    }
)
"""FLOPs per element of the input, without the sum."""

_GRADIENTS: Mapping[str, int] = MappingProxyType(
    {
        "mse_loss_backward": 3,  # g c (x - t)
        "smooth_l1_loss_backward": 5,
        "huber_loss_backward": 5,
        "binary_cross_entropy_backward": 5,  # g (x - t) / (x (1 - x))
        "soft_margin_loss_backward": 6,  # -g t z / (1 + z), z = exp(-t x)
        "multi_margin_loss_backward": 4,
        "multilabel_margin_loss_backward": 4,
    }
)
"""FLOPs per element of the gradient by the input."""


@register_formula(*(f"aten.{name}" for name in _REDUCED))
def reduced_loss(call: Call) -> Cost:
    """A loss per element, summed up unless one comes out per element."""
    count = elements(call.tensor(0))
    is_summed = elements(call.outputs[0]) < count
    flops = _REDUCED[call.operator.removeprefix("aten.")] + is_summed
    return vector_cost(call, FAMILY, flops * count)


@register_formula(*(f"aten.{name}" for name in _GRADIENTS))
def loss_backward(call: Call) -> Cost:
    """Gradient per element."""
    return vector_cost(call, FAMILY, _GRADIENTS[call.operator.removeprefix("aten.")] * call.output_elements)


@register_formula("aten.nll_loss_forward", "aten.nll_loss2d_forward", "aten.nll_loss", "aten.nll_loss2d")
def nll_loss(call: Call) -> Cost:
    """(log-probabilities, target, weight, ...): one picked per target, weighted and added."""
    scores, target = call.tensor(0), call.tensor(1)
    cost = vector_cost(call, FAMILY, 2 * elements(target))
    picked = element_bytes(scores, elements(target))
    return cost.with_traffic(picked + total_bytes(call.inputs[1:]), cost.bytes_written)


@register_formula("aten.nll_loss_backward", "aten.nll_loss2d_backward")
def nll_loss_backward(call: Call) -> Cost:
    """(grad, log-probabilities, target, ...): zeros but for one per target; the log-probabilities are not read."""
    cost = vector_cost(call, FAMILY, 2 * elements(call.tensor(2)))
    read = total_bytes(tensor for position, tensor in enumerate(call.inputs) if position != 1)
    return cost.with_traffic(read, cost.bytes_written)


@register_formula("aten.cross_entropy_loss")
def cross_entropy(call: Call) -> Cost:
    """Log-softmax and picking in one: 5 FLOPs per score, 2 per target."""
    scores, target = call.tensor(0), call.tensor(1)
    return vector_cost(call, FAMILY, 5 * elements(scores) + 2 * elements(target))


_CTC_STEP = 12
"""Log-sum-exp of three neighbours (2 maxima, 3 subtractions, 3 exponentials, 2 sums, 1 logarithm) and the emission."""


@register_formula("aten._ctc_loss")
def ctc_loss(call: Call) -> Cost:
    """Forward variables (Graves et al. 2006, doi:10.1145/1143844.1143891): the second output, (batch, time, states)."""
    return vector_cost(call, FAMILY, _CTC_STEP * elements(call.outputs[-1]))


@register_formula("aten._cudnn_ctc_loss", "aten.miopen_ctc_loss")
def cudnn_ctc_loss(call: Call) -> Cost:
    """(log_probs, targets, ...): forward and backward variables and the gradient in one call.

    Packed targets tell only the sum of their lengths; equal lengths are assumed then.
    """
    time, batch, _ = call.tensor(0).shape
    targets = call.tensor(1).shape
    states = 2 * (targets[-1] if len(targets) == 2 else targets[0] // max(batch, 1)) + 1
    flops = (2 * _CTC_STEP + 5) * time * batch * states + 3 * elements(call.tensor(0))
    return vector_cost(call, FAMILY, flops)


@register_formula("aten._ctc_loss_backward")
def ctc_loss_backward(call: Call) -> Cost:
    """(grad, log_probs, targets, lengths, lengths, nll, log_alpha, ...): backward variables, then the gradient."""
    log_alpha = call.tensor(6, "log_alpha")
    return vector_cost(call, FAMILY, (_CTC_STEP + 5) * elements(log_alpha) + 3 * elements(call.tensor(1)))
