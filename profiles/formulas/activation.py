"""Activation functions and their gradients; each count is written out as the operations of the formula beside it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from profiles.formulas.call import Call, Cost
from profiles.formulas.costs import vector_cost
from profiles.formulas.elementwise import element_count, per_element
from profiles.formulas.registry import register_formula

ACTIVATIONS: Mapping[str, int] = MappingProxyType(
    {
        "relu": 1,  # max(x, 0)
        "relu6": 2,  # min(max(x, 0), 6)
        "threshold": 1,
        "threshold_backward": 1,  # g where x > 0
        "hardtanh": 2,
        "hardtanh_backward": 2,
        "leaky_relu": 2,  # x > 0 ? x : a x
        "leaky_relu_backward": 2,
        "prelu": 2,
        "_prelu_kernel": 2,
        "_prelu_kernel_backward": 4,  # x > 0 ? g : a g; x > 0 ? 0 : x g
        "rrelu": 2,
        "rrelu_with_noise": 2,
        "rrelu_with_noise_functional": 2,
        "rrelu_with_noise_backward": 1,  # g noise
        "elu": 5,  # x > 0 ? s x : s a expm1(b x)
        "celu": 4,  # x > 0 ? x : a expm1(x / a)
        "selu": 4,  # s (x > 0 ? x : a expm1(x))
        "elu_backward": 5,  # x > 0 ? g s : g b (y + s a)
        "silu": 5,  # x sigmoid(x)
        "silu_backward": 9,  # g s (1 + x (1 - s)), s = sigmoid(x)
        "mish": 4,  # x tanh(log1p(exp(x)))
        "mish_backward": 13,  # g (t + x s (1 - t^2)), t = tanh(softplus(x)), s = sigmoid(x)
        "sigmoid_backward": 3,  # g y (1 - y)
        "tanh_backward": 3,  # g (1 - y^2)
        "logit_backward": 3,  # g / (x (1 - x))
        "softplus": 5,  # b x > t ? x : log1p(exp(b x)) / b
        "softplus_backward": 6,  # b x > t ? g : g e / (1 + e), e = exp(b x)
        "log_sigmoid": 5,  # min(x, 0) - log1p(exp(-|x|))
        "log_sigmoid_forward": 5,
        "log_sigmoid_backward": 7,  # g (x < 0 ? 1 : 0 +- e / (1 + e))
        "hardsigmoid": 4,  # min(max(x + 3, 0), 6) / 6
        "hardsigmoid_backward": 3,
        "hardswish": 5,  # x min(max(x + 3, 0), 6) / 6
        "hardswish_backward": 5,  # g (x / 3 + 1/2) inside [-3, 3]
        "hardshrink": 1,
        "hardshrink_backward": 1,
        "softshrink": 2,
        "softshrink_backward": 1,
        "glu": 5,  # a sigmoid(b), per element of the output
    }
)
"""FLOPs per element of the output by operator."""

GELU_FLOPS: Mapping[str, tuple[int, int]] = MappingProxyType({"none": (5, 11), "tanh": (9, 17)})
"""FLOPs per element, forward and backward (Hendrycks and Gimpel 2016, arXiv:1606.08415).

none: x/2 (1 + erf(x c)); g (cdf + x pdf) with cdf of 4 and pdf of 4 operations.
tanh: x/2 (1 + tanh(c (x + a x^3))); its derivative by the product rule.
"""

for _name, _flops in ACTIVATIONS.items():
    register_formula(f"aten.{_name}")(per_element("activation", _flops))


@register_formula("aten.gelu")
def gelu(call: Call) -> Cost:
    """GELU, exact or by tanh."""
    return vector_cost(
        call, "activation", GELU_FLOPS[str(call.keyword("approximate", "none"))][0] * element_count(call)
    )


@register_formula("aten.gelu_backward")
def gelu_backward(call: Call) -> Cost:
    """Gradient of GELU, exact or by tanh."""
    return vector_cost(
        call, "activation", GELU_FLOPS[str(call.keyword("approximate", "none"))][1] * element_count(call)
    )


@register_formula("aten.glu_backward")
def glu_backward(call: Call) -> Cost:
    """The two gradients g s and g s (1 - s) a, with the sigmoid s of 4: 8 FLOPs for each two elements of the output."""
    return vector_cost(call, "activation", 8 * (element_count(call) // 2))
