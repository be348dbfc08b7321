"""torch's primitive operators ("prims"), which some of its derivatives and decompositions are made of.

They work as the operators of the aten namespace that they are named after: torch/_prims/__init__.py.
"""

from __future__ import annotations

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import movement_cost, vector_cost, write_cost
from profiles.formulas.elementwise import ELEMENTWISE, per_element
from profiles.formulas.registry import formula_of, register_formula

_ELEMENTWISE = (
    "abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor ceil conj_physical "
    "cos cosh digamma div eq erf erfc exp exp2 expm1 floor fmax fmin fmod gcd ge gt hypot igamma igammac isfinite le "
    "lgamma log log10 log1p log2 lt maximum minimum mul ne neg nextafter pow reciprocal remainder round rsqrt sign "
    "signbit sin sinh sqrt sub tan tanh trunc where"
)
for _name in _ELEMENTWISE.split():
    if (_formula := formula_of(f"aten.{_name}")) is None or _name not in ELEMENTWISE:
        raise LookupError(f"aten.{_name} has no element-wise formula")
    register_formula(f"prims.{_name}")(_formula)

_ONE_FLOP = (
    "bessel_i0 bessel_i0e bessel_i1 bessel_i1e bessel_j0 bessel_j1 cbrt erf_inv erfcx ndtri shift_left "
    "shift_right_arithmetic spherical_bessel_j0 zeta"
)
for _name in _ONE_FLOP.split():
    register_formula(f"prims.{_name}")(per_element("elementwise", 1))


@register_formula("prims.sum", "prims.prod", "prims.amax", "prims.amin", "prims.xor_sum")
def reduction(call: Call) -> Cost:
    """One operation for each element of the input."""
    return vector_cost(call, "reduction", elements(call.tensor(0)))


@register_formula("prims.var")
def variance(call: Call) -> Cost:
    """Mean, difference, square, sum: four operations for each element of the input."""
    return vector_cost(call, "reduction", 4 * elements(call.tensor(0)))


@register_formula(
    "prims.convert_element_type", "prims.clone", "prims.cat", "prims.rev", "prims.reshape", "prims.device_put"
)
def movement(call: Call) -> Cost:
    """Data movement."""
    return movement_cost(call)


@register_formula("prims.fill", "prims.iota", "prims.normal", "prims.scalar_tensor")
def written(call: Call) -> Cost:
    """Outputs written without reading anything."""
    return write_cost(call)
