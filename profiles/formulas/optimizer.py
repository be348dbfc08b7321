"""Fused optimizer steps: one kernel reads and writes every parameter, gradient and state once.

The counts follow the update rules in torch's documentation of the optimizers, one FLOP per operation on an element;
factors that are the same for all elements are not counted.
"""

from __future__ import annotations

from collections.abc import Callable

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import total_bytes


def _count(call: Call) -> int:
    """Number of parameters."""
    return sum(elements(tensor) for tensor in call.tensors(0, "self"))


def _with_writes(call: Call, flops: int, written: tuple[int, ...]) -> Cost:
    """Cost of `flops` per parameter that rewrites the lists at these positions, and the gradients if it unscales."""
    unscales = call.keyword("grad_scale") is not None
    lists = (*written, 1) if unscales else written
    cost = vector_cost(call, "optimizer", (flops + unscales) * _count(call))
    return cost.with_traffic(cost.bytes_read, sum(total_bytes(call.tensors(position)) for position in lists))


def _decay(call: Call) -> bool:
    """True where weights decay."""
    return call.keyword("weight_decay", 0.0) != 0.0


def _adam(decay_flops: int) -> Callable[[Call], Cost]:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980): 13 per parameter, and the decay.

    First moment by lerp 3, second moment 4 (two factors, square, sum), denominator 3 (sqrt, divide, add eps), step 3
    (multiply, divide, subtract); AMSGrad one maximum more.
    """

    def formula(call: Call) -> Cost:
        amsgrad = bool(call.keyword("amsgrad", False))
        flops = 13 + decay_flops * _decay(call) + amsgrad
        return _with_writes(call, flops, (0, 2, 3, *((4,) if amsgrad else ())))

    return formula


register_formula("aten._fused_adam")(_adam(decay_flops=2))  # g + d p
register_formula("aten._fused_adamw")(_adam(decay_flops=1))  # p (1 - lr d)


@register_formula("aten._fused_sgd")
def sgd(call: Call) -> Cost:
    """Step 2; weight decay 2 more; momentum 2 more, 3 with dampening; Nesterov 2 more."""
    has_momentum = call.keyword("momentum", 0.0) != 0.0
    flops = 2 + 2 * _decay(call)
    if has_momentum and not call.keyword("is_first_step", False):
        flops += 2 + (call.keyword("dampening", 0.0) != 0.0)
    flops += 2 * bool(call.keyword("nesterov", False))
    return _with_writes(call, flops, (0, 2) if has_momentum else (0,))


@register_formula("aten._fused_adagrad")
def adagrad(call: Call) -> Cost:
    """Sum of squares 2, step 5 (sqrt, add eps, divide, multiply, subtract); weight decay 2 more."""
    return _with_writes(call, 7 + 2 * _decay(call), (0, 2))
