"""Element-wise operators against their formulas written out: the operations in the text are counted, then compared."""

from __future__ import annotations

import ast

import pytest
from formula_calls import cost, spec

X, N = spec(6, 10), 60
PARTS = {"where": 0, "sigmoid": 4}
"""Operations of what is no single one: a selection comes with its comparison, exp, 1 +, 1 / and - make a sigmoid."""

FORMULAS = {
    "relu": "max(x, 0)",
    "relu6": "min(max(x, 0), 6)",
    "hardtanh": "min(max(x, low), high)",
    "hardtanh_backward": "where(x > low, where(x < high, g, 0), 0)",
    "threshold": "where(x > t, x, v)",
    "leaky_relu": "where(x > 0, x, a * x)",
    "leaky_relu_backward": "where(x > 0, g, a * g)",
    "prelu": "where(x > 0, x, a * x)",
    "_prelu_kernel": "where(x > 0, x, a * x)",
    "_prelu_kernel_backward": "where(x > 0, g, a * g), where(x > 0, 0, x * g)",
    "rrelu": "where(x > 0, x, noise * x)",
    "rrelu_with_noise": "where(x > 0, x, noise * x)",
    "rrelu_with_noise_functional": "where(x > 0, x, noise * x)",
    "rrelu_with_noise_backward": "g * noise",
    "elu": "where(x > 0, s * x, sa * expm1(b * x))",
    "celu": "where(x > 0, x, a * expm1(x / a))",
    "selu": "s * where(x > 0, x, a * expm1(x))",
    "elu_backward": "where(y > 0, g * s, g * b * (y + sa))",
    "silu": "x * sigmoid(x)",
    "silu_backward": "g * (s := sigmoid(x)) * (1 + x * (1 - s))",
    "mish": "x * tanh(log1p(exp(x)))",
    "mish_backward": "g * ((t := tanh(log1p(exp(x)))) + x * sigmoid(x) * (1 - t * t))",
    "sigmoid_backward": "g * y * (1 - y)",
    "tanh_backward": "g * (1 - y * y)",
    "logit_backward": "g / (x * (1 - x))",
    "softplus": "where((bx := b * x) > t, x, log1p(exp(bx)) / b)",
    "softplus_backward": "where((bx := b * x) > t, g, g * (e := exp(bx)) / (1 + e))",
    "log_sigmoid": "min(x, 0) - log1p(exp(negative_magnitude(x)))",
    "log_sigmoid_forward": "min(x, 0) - log1p(exp(negative_magnitude(x)))",
    "log_sigmoid_backward": "g * (where(x < 0, 1, 0) + (e := exp(negative_magnitude(x))) / (1 + e))",
    "hardsigmoid": "min(max(x + 3, 0), 6) / 6",
    "hardsigmoid_backward": "where(x > -3, where(x < 3, g / 6, 0), 0)",
    "hardswish": "x * min(max(x + 3, 0), 6) / 6",
    "hardswish_backward": "where(x < 3, where(x > -3, g * (x / 3 + half), 0), g)",
    "softshrink": "where(magnitude > l, x - sign_l, 0)",
    "glu": "a * sigmoid(b)",
    "lerp": "a + w * (b - a)",
    "frac": "x - trunc(x)",
    "logit": "log(x / (1 - x))",
    "sigmoid": "1 / (1 + exp(-x))",
    "special_ndtr": "(1 + erf(x * c)) / 2",
    "isclose": "abs(a - b) <= atol + rtol * abs(b)",
    "_add_relu": "max(a + b, 0)",
    "quantize_per_tensor": "min(max(round(x / s) + z, low), high)",
    "quantize_per_channel": "min(max(round(x / s) + z, low), high)",
    "dequantize": "(q - z) * s",
    "fake_quantize_per_tensor_affine": "(min(max(round(x / s) + z, low), high) - z) * s",
    "fake_quantize_per_channel_affine": "(min(max(round(x / s) + z, low), high) - z) * s",
    "_fake_quantize_learnable_per_tensor_affine": "(min(max(round(x / s) + z, low), high) - z) * s",
    "_fake_quantize_learnable_per_channel_affine": "(min(max(round(x / s) + z, low), high) - z) * s",
    "fake_quantize_per_tensor_affine_cachemask_backward": "g * mask",
    "fake_quantize_per_channel_affine_cachemask_backward": "g * mask",
    "quantize_per_tensor_dynamic": "min(lowest, x), max(highest, x), min(max(round(x / s) + z, low), high)",
    "_choose_qparams_per_tensor": "min(lowest, x), max(highest, x)",
    "choose_qparams_optimized": "min(lowest, x), max(highest, x)",
}
COMPLEX = {
    "mul": "a * c - b * d, a * d + b * c",
    "div": "(a * c + b * d) / (n := c * c + d * d), (b * c - a * d) / n",
    "abs": "sqrt(a * a + b * b)",
    "square": "a * a - b * b, 2 * (a * b)",
    "conj_physical": "-b",
}
TWINS = {
    "relu6": ("relu6",),
    "leaky_relu": ("leaky_relu",),
    "hardswish": ("hardswish",),
    "sigmoid": ("sigmoid",),
    "elu": ("elu",),
    "add": ("add",),
    "add_scalar": ("add",),
    "add_relu": ("add", "relu"),
    "mul": ("mul",),
    "mul_scalar": ("mul",),
    "mul_relu": ("mul", "relu"),
}


def operations(formula: str) -> int:
    """Operations of a formula: signs, comparisons and functions; a minus before a number belongs to the number."""
    return sum(map(_operations_of, ast.walk(ast.parse(formula))))


def _operations_of(node: ast.AST) -> int:
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return PARTS.get(node.func.id, 1)
    if isinstance(node, ast.UnaryOp):
        return not isinstance(node.operand, ast.Constant)
    return isinstance(node, (ast.BinOp, ast.Compare))


def test_operations_are_counted():
    assert operations("a * b + exp(-x)") == 4 and operations("where(x > -3, sigmoid(x), 0)") == 5


@pytest.mark.parametrize("name", FORMULAS)
def test_an_operator_costs_the_operations_of_its_formula(name):
    assert cost(f"aten.{name}", X, X, X, out=X).flops == operations(FORMULAS[name]) * N


@pytest.mark.parametrize("name", COMPLEX)
def test_a_complex_operator_costs_those_of_its_parts(name):
    z = spec(6, 10, dtype="complex64")
    assert cost(f"aten.{name}", z, z, out=z).flops == operations(COMPLEX[name]) * N


@pytest.mark.parametrize("name", TWINS)
def test_a_quantised_operator_costs_what_its_floating_twin_does(name):
    twins = sum(cost(f"aten.{twin}", X, X, out=X).flops for twin in TWINS[name])
    assert cost(f"quantized.{name}", X, X, out=X).flops == twins


def test_quantised_norms_cost_what_their_floating_twins_do():
    image, channels = spec(2, 3, 4, 4), spec(3)
    settings = (*(channels,) * 4, False, 0.1, 1e-5)
    batch = cost("aten.native_batch_norm", image, *settings, out=(image, spec(0), spec(0))).flops
    for dims in ("", "1d", "2d", "3d"):
        assert cost(f"quantized.batch_norm{dims}", image, out=image).flops == batch
    assert cost("quantized.batch_norm2d_relu", image, out=image).flops == batch + 2 * 3 * 4 * 4
    row = spec(10)
    layer = cost("aten.native_layer_norm", X, (10,), row, row, 1e-5, out=(X, spec(6, 1), spec(6, 1))).flops
    for name in ("layer_norm", "group_norm", "instance_norm"):
        assert cost(f"quantized.{name}", X, out=X).flops == layer
    softmax = cost("aten._softmax", X, 1, False, out=X).flops
    assert cost("quantized.softmax", X, 1, out=X).flops == cost("aten.special_softmax", X, 1, out=X).flops == softmax


def test_close_everywhere_is_close_and_one_more():
    assert cost("aten.allclose", X, X, out=spec(dtype="bool")).flops == (operations(FORMULAS["isclose"]) + 1) * N


def test_gates_of_a_linear_unit_go_back_over_two_halves():
    gradients = "(gs := g * (s := sigmoid(b))), gs * (1 - s) * a"
    assert operations(gradients) == 8 and cost("aten.glu_backward", X, X, 1, out=X).flops == 8 * N // 2
