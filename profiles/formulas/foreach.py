"""Operators on lists of tensors, with which optimizers update all parameters in few calls."""

from __future__ import annotations

from collections.abc import Callable

from profiles.formulas.call import Call, Cost, elements, flatten
from profiles.formulas.costs import movement_cost, vector_cost, write_cost
from profiles.formulas.elementwise import element_count, elementwise_flops
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import total_bytes

_ELEMENTWISE = (
    "abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min cos cosh div erf erfc exp expm1 floor frac lerp "
    "lgamma log log10 log1p log2 maximum minimum mul neg pow reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan "
    "tanh trunc"
)
_LISTED_VALUE = 3
"""Position of the factor of _foreach_addcmul and _foreach_addcdiv, which single tensors take by keyword."""


def _flops_per_element(name: str, call: Call) -> int:
    """As the operator on a single tensor, with the factor of addcmul and addcdiv where lists have it."""
    flops = elementwise_flops(name, call)
    takes_value = name in ("addcmul", "addcdiv") and call.keyword("value", 1) == 1
    return flops + (takes_value and call.argument(_LISTED_VALUE, "scalars", 1) != 1)


def _formula(name: str) -> Callable[[Call], Cost]:
    """Formula of `_foreach_<name>`."""

    def formula(call: Call) -> Cost:
        return vector_cost(call, "elementwise", _flops_per_element(name, call) * element_count(call))

    return formula


for _name in _ELEMENTWISE.split():
    register_formula(f"aten._foreach_{_name}")(_formula(_name))


@register_formula("aten._foreach_copy")
def foreach_copy(call: Call) -> Cost:
    """Copy the second list into the first: what is overwritten is not read."""
    cost = movement_cost(call)
    return cost.with_traffic(total_bytes(call.tensors(1, "src")), cost.bytes_written)


@register_formula("aten._foreach_clone")
def foreach_clone(call: Call) -> Cost:
    """Copy a list."""
    return movement_cost(call)


@register_formula("aten._foreach_zero")
def foreach_zero(call: Call) -> Cost:
    """Write zeros."""
    return write_cost(call)


@register_formula("aten._foreach_norm", "aten._foreach_powsum")
def foreach_norm(call: Call) -> Cost:
    """Raise to a power and add up: 2 FLOPs per element."""
    return vector_cost(call, "reduction", 2 * sum(elements(tensor) for tensor in flatten(call.args[:1])))


@register_formula("aten._foreach_max")
def foreach_max(call: Call) -> Cost:
    """One comparison per element."""
    return vector_cost(call, "reduction", sum(elements(tensor) for tensor in flatten(call.args[:1])))


@register_formula("aten._amp_foreach_non_finite_check_and_unscale")
def check_and_unscale(call: Call) -> Cost:
    """Check each gradient for infinity and multiply it by the inverse scale, in place."""
    return vector_cost(call, "optimizer", 2 * sum(elements(tensor) for tensor in call.tensors(0)))


@register_formula("aten._amp_update_scale")
def update_scale(call: Call) -> Cost:
    """A comparison, a count and a multiplication of one number."""
    return vector_cost(call, "optimizer", 3)
