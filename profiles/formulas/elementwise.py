"""Element-wise operators.

Convention: one FLOP for each arithmetic operation, comparison with the selection it decides, logical operation or
elementary function (exp, log, sqrt, sin, erf, tanh, pow ...) on an element, whatever the dtype; operators that are
compositions count their parts. Broadcast operands are read once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from profiles.formulas.call import Call, Cost, elements, flatten
from profiles.formulas.costs import COMPLEX_DTYPES, vector_cost
from profiles.formulas.registry import register_formula

_NAMES_BY_FLOPS = {
    1: (
        "abs absolute neg negative sign sgn signbit positive ceil floor round trunc fix square sqrt rsqrt reciprocal "
        "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan arcsin arccos arctan sinh cosh tanh asinh "
        "acosh atanh arcsinh arccosh arctanh erf erfc erfinv lgamma digamma special_digamma i0 special_i0 special_i0e "
        "special_i1 special_i1e special_erfcx special_ndtri special_log_ndtr special_erf special_erfc special_erfinv "
        "special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_modified_bessel_i0 "
        "special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 special_gammaln "
        "special_exp2 special_expm1 special_log1p special_psi special_airy_ai special_spherical_bessel_j0 "
        "special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_chebyshev_polynomial_t "
        "special_chebyshev_polynomial_u special_chebyshev_polynomial_v special_chebyshev_polynomial_w "
        "special_hermite_polynomial_h special_hermite_polynomial_he special_laguerre_polynomial_l "
        "special_legendre_polynomial_p special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u "
        "special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w mvlgamma "
        "special_zeta polygamma special_polygamma igamma igammac special_gammainc special_gammaincc "
        "add sub subtract rsub mul multiply div divide true_divide floor_divide pow float_power fmod remainder maximum "
        "minimum fmax fmin atan2 arctan2 copysign hypot heaviside nextafter ldexp gcd lcm "
        "eq ne lt le gt ge not_equal less less_equal greater greater_equal isnan isinf isfinite isposinf isneginf "
        "isreal logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not "
        "bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__ __lshift__ __rshift__ __iand__ __ior__ "
        "__ixor__ __ilshift__ __irshift__ clamp_min clamp_max where masked_fill deg2rad rad2deg angle conj_physical "
        "_conj_physical _masked_scale tril triu frexp"
    ),
    2: "frac clamp clip xlogy special_xlogy special_xlog1py sinc special_sinc special_entr nan_to_num _add_relu",
    3: "lerp addcmul addcdiv logit special_logit",
    4: "sigmoid special_expit special_ndtr",
    5: "logaddexp logaddexp2",
    6: "isclose",
}
ELEMENTWISE: Mapping[str, int] = MappingProxyType(
    {name: flops for flops, names in _NAMES_BY_FLOPS.items() for name in names.split()}
)
"""FLOPs per element of each operator."""

COMPLEX: Mapping[str, int] = MappingProxyType({"mul": 6, "div": 11, "abs": 4, "square": 5, "conj_physical": 1})
"""FLOPs per complex element; everything else takes twice the FLOPs of a real one."""


def element_count(call: Call) -> int:
    """Elements worked on: of the output, or of the first argument where the call works in place and returns nothing."""
    return call.output_elements if call.outputs else sum(elements(tensor) for tensor in flatten(call.args[:1]))


def per_element(family: str, flops: int) -> Callable[[Call], Cost]:
    """Formula of a fixed number of FLOPs per element."""

    def formula(call: Call) -> Cost:
        return vector_cost(call, family, flops * element_count(call))

    return formula


def elementwise_flops(name: str, call: Call) -> int:
    """FLOPs per element of the operator `name`, complex numbers and a factor `alpha` or `value` taken into account."""
    flops = ELEMENTWISE[name]
    if name in ("add", "sub", "rsub") and call.keyword("alpha", 1) != 1:
        flops += 1
    if name in ("addcmul", "addcdiv") and call.keyword("value", 1) == 1:
        flops -= 1
    if name == "clamp":
        flops = sum(call.argument(position, bound) is not None for position, bound in ((1, "min"), (2, "max")))
    is_complex = any(tensor.dtype in COMPLEX_DTYPES for tensor in call.inputs)
    return COMPLEX.get(name, 2 * flops) if is_complex else flops


def _formula(name: str) -> Callable[[Call], Cost]:
    """Formula of one entry of the table."""

    def formula(call: Call) -> Cost:
        return vector_cost(call, "elementwise", elementwise_flops(name, call) * element_count(call))

    return formula


for _name in ELEMENTWISE:
    register_formula(f"aten.{_name}")(_formula(_name))
