"""Random numbers and dropout: a number drawn counts as one FLOP."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import vector_cost
from profiles.formulas.elementwise import element_count
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import bytes_written

FAMILY = "random"
_DRAWN = (
    "rand randn randint rand_like randn_like randint_like randperm uniform normal normal_functional random exponential "
    "geometric cauchy log_normal _philox_normal _philox_uniform"
)
"""Drawn without reading anything."""

_DRAWN_FROM: Mapping[str, int] = MappingProxyType(
    {
        "bernoulli": 2,  # draw, compare
        "poisson": 1,
        "binomial": 1,
        "_standard_gamma": 1,
        "_standard_gamma_grad": 1,
        "_sample_dirichlet": 1,
        "_dirichlet_grad": 1,
        "native_dropout": 4,  # draw, compare, times the mask, times the scale
        "_fused_dropout": 4,
        "native_dropout_backward": 2,  # times the mask, times the scale
        "dropout": 4,
        "feature_dropout": 2,
        "alpha_dropout": 5,
        "feature_alpha_dropout": 3,
    }
)
"""FLOPs per element of the first output."""


@register_formula(*(f"aten.{name}" for name in _DRAWN.split()))
def drawn(call: Call) -> Cost:
    """One number per element; a tensor that is overwritten or gives the shape is not read."""
    return vector_cost(call, FAMILY, element_count(call)).with_traffic(0, bytes_written(call))


@register_formula(*(f"aten.{name}" for name in _DRAWN_FROM))
def drawn_from(call: Call) -> Cost:
    """Numbers drawn by the tensor that is given, or dropout of it."""
    count = elements(call.outputs[0])
    return vector_cost(call, FAMILY, _DRAWN_FROM[call.operator.removeprefix("aten.").removesuffix("_")] * count)


@register_formula("aten.multinomial")
def multinomial(call: Call) -> Cost:
    """Sum up the weights and divide them by the sum, then draw."""
    return vector_cost(call, FAMILY, 2 * elements(call.tensor(0)) + call.output_elements)
