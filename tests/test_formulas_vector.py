"""Vector work: every count is written out as operations of the formula, element by element."""

from __future__ import annotations

import pytest
from formula_calls import cost, record, spec

ROWS, WIDTH = 6, 10
X, ROW, COLUMN = spec(ROWS, WIDTH), spec(WIDTH), spec(ROWS, 1)
N = ROWS * WIDTH


@pytest.mark.parametrize(
    ("operator", "args", "per_element"),
    [
        ("aten.add", (X, X), 1),
        ("aten.add_", (X, X), 1),
        ("aten.mul", (X, ROW), 1),
        ("aten.exp", (X,), 1),
        ("aten.rsqrt", (X,), 1),
        ("aten.where", (X, X, X), 1),
        ("aten.lerp", (X, X, 0.1), 3),
        ("aten.addcmul", (X, X, X), 2),
        ("aten.clamp", (X, 0.0), 1),
        ("aten.clamp", (X, 0.0, 1.0), 2),
        ("aten.relu", (X,), 1),
        ("aten.threshold_backward", (X, X, 0), 1),
        ("aten.sigmoid", (X,), 4),
        ("aten.sigmoid_backward", (X, X), 3),
        ("aten.tanh_backward", (X, X), 3),
        ("aten.silu", (X,), 5),
        ("aten.gelu", (X,), 5),
        ("aten.gelu_backward", (X, X), 11),
        ("aten._softmax", (X, 1, False), 5),
        ("aten._softmax_backward_data", (X, X, 1, "float32"), 4),
        ("aten._log_softmax", (X, 1, False), 5),
        ("aten._log_softmax_backward_data", (X, X, 1, "float32"), 4),
        ("aten.native_dropout_backward", (X, X, 2.0), 2),
        ("aten.cumsum", (X, 0), 1),
    ],
)
def test_per_element(operator: str, args: tuple[object, ...], per_element: int) -> None:
    found = cost(operator, *args, out=X)
    assert found.flops == found.model_flops == found.executed_flops == per_element * N
    assert found.engine == "vector" and found.counted


def test_scaled_addition_multiplies_too() -> None:
    assert cost("aten.add", X, X, alpha=0.5, out=X).flops == 2 * N
    assert cost("aten.addcdiv", X, X, X, value=-0.1, out=X).flops == 3 * N


def test_gelu_by_tanh() -> None:
    assert cost("aten.gelu", X, approximate="tanh", out=X).flops == 9 * N
    assert cost("aten.gelu_backward", X, X, approximate="tanh", out=X).flops == 17 * N


def test_complex_numbers() -> None:
    z = spec(ROWS, WIDTH, dtype="complex64")
    assert cost("aten.add", z, z, out=z).flops == 2 * N
    assert cost("aten.mul", z, z, out=z).flops == 6 * N
    assert cost("aten.abs", z, out=X).flops == 4 * N


@pytest.mark.parametrize(
    ("operator", "args", "outputs", "flops"),
    [
        ("aten.sum", (X, (1,)), (spec(ROWS),), N),
        ("aten.mean", (X, (1,)), (spec(ROWS),), N + ROWS),
        ("aten.var", (X, (1,)), (spec(ROWS),), 4 * N + ROWS),
        ("aten.linalg_vector_norm", (X, 2), (spec(),), 2 * N + 1),
        ("aten.logsumexp", (X, (1,)), (spec(ROWS),), 4 * N + 2 * ROWS),
        ("aten.argmax", (X, 1), (spec(ROWS, dtype="int64"),), N),
        ("aten.sort", (X, 1), (X, spec(ROWS, WIDTH, dtype="int64")), N),
        ("aten.topk", (X, 2), (spec(ROWS, 2), spec(ROWS, 2, dtype="int64")), N),
        ("aten._foreach_norm", ((X, ROW), 2), (spec(), spec()), 2 * (N + WIDTH)),
    ],
)
def test_reductions(operator: str, args: tuple[object, ...], outputs: tuple[object, ...], flops: int) -> None:
    assert cost(operator, *args, out=outputs).flops == flops


def test_max_of_two_tensors_is_element_wise() -> None:
    assert cost("aten.max", X, ROW, overload="other", out=X).family == "elementwise"
    assert cost("aten.max", X, out=spec()).family == "reduction"


def test_layer_norm() -> None:
    mean, subtract, square, add, scale, weight, bias = 1, 1, 1, 1, 1, 1, 1
    stats = spec(ROWS, 1)
    forward = cost("aten.native_layer_norm", X, (WIDTH,), ROW, ROW, 1e-5, out=(X, stats, stats))
    assert forward.flops == (mean + subtract + square + add + scale + weight + bias) * N
    assert forward.bytes_read == 4 * (N + 2 * WIDTH) and forward.bytes_written == 4 * (N + 2 * ROWS)
    plain = cost("aten.native_layer_norm", X, (WIDTH,), None, None, 1e-5, out=(X, stats, stats))
    assert plain.flops == 5 * N


@pytest.mark.parametrize(
    ("mask", "per_element"),
    [
        ((True, True, True), 10 + 2 + 1),
        ((True, False, False), 10),
        ((False, True, True), 4 + 1),
        ((False, False, True), 1),
    ],
)
def test_layer_norm_backward(mask: tuple[bool, bool, bool], per_element: int) -> None:
    args = (X, X, (WIDTH,), spec(ROWS, 1), spec(ROWS, 1), ROW, ROW, mask)
    assert cost("aten.native_layer_norm_backward", *args, out=(X,)).flops == per_element * N


def test_rms_norm() -> None:
    assert cost("aten._fused_rms_norm", X, (WIDTH,), ROW, 1e-5, out=(X, spec(ROWS, 1))).flops == 4 * N
    args = (X, X, (WIDTH,), spec(ROWS, 1), ROW, (True, True))
    assert cost("aten._fused_rms_norm_backward", *args, out=(X, ROW)).flops == (7 + 2) * N


def test_batch_norm() -> None:
    image, channels = spec(2, 3, 4, 4), spec(3)
    stats = (channels,) * 4
    count = 2 * 3 * 4 * 4
    training = cost("aten.native_batch_norm", image, *stats, True, 0.1, 1e-5, out=(image, channels, channels))
    assert training.flops == 7 * count
    assert training.bytes_written == 4 * (count + 2 * 3 + 2 * 3)  # the batch's statistics and the running ones
    inference = cost("aten.native_batch_norm", image, *stats, False, 0.1, 1e-5, out=(image, spec(0), spec(0)))
    assert inference.flops == 4 * count
    assert inference.bytes_written == 4 * count
    args = (image, image, channels, channels, channels, channels, channels, True, 1e-5, (True, True, True))
    assert cost("aten.native_batch_norm_backward", *args, out=(image, channels, channels)).flops == 9 * count


def test_pooling_counts_its_window() -> None:
    image, pooled = spec(2, 3, 8, 8), spec(2, 3, 4, 4)
    assert cost("aten.max_pool2d_with_indices", image, (3, 3), (2, 2), (1, 1), out=(pooled, pooled)).flops == 9 * 96
    assert cost("aten.avg_pool2d", image, (2,), (2,), out=pooled).flops == 4 * 96
    assert cost("aten.mean", image, (-1, -2), True, out=spec(2, 3, 1, 1)).flops == 2 * 3 * 64 + 6
    assert cost("aten._adaptive_avg_pool2d", image, (4, 4), out=pooled).flops == 2 * 3 * 64
    # windows of 8 to 3: 0-3, 2-6, 5-8: 3 + 4 + 3 elements in each dimension
    assert cost("aten._adaptive_avg_pool2d", image, (3, 3), out=spec(2, 3, 3, 3)).flops == 2 * 3 * 10 * 10


def test_interpolation_counts_its_taps() -> None:
    image, large = spec(2, 3, 8, 8), spec(2, 3, 16, 16)
    count = 2 * 3 * 16 * 16
    assert cost("aten.upsample_bilinear2d", image, (16, 16), False, out=large).flops == 7 * count
    assert cost("aten.upsample_bicubic2d", image, (16, 16), False, out=large).flops == 31 * count
    assert cost("aten.upsample_nearest2d", image, (16, 16), out=large).flops == 0
    args = (large, (16, 16), (2, 3, 8, 8), False)
    assert cost("aten.upsample_bilinear2d_backward", *args, out=image).flops == 8 * count


def test_losses() -> None:
    target = spec(ROWS, dtype="int64")
    nll = cost("aten.nll_loss_forward", X, target, None, 1, -100, out=(spec(), spec()))
    assert nll.flops == 2 * ROWS
    assert nll.bytes_read == 4 * ROWS + 8 * ROWS  # one score and one class a row
    backward = cost("aten.nll_loss_backward", spec(), X, target, None, 1, -100, spec(), out=X)
    assert backward.bytes_read == 4 + 8 * ROWS + 4 and backward.bytes_written == 4 * N
    assert cost("aten.mse_loss", X, X, out=spec()).flops == 3 * N
    assert cost("aten.mse_loss", X, X, 0, out=X).flops == 2 * N


@pytest.mark.parametrize(
    ("operator", "args", "out", "flops"),
    [
        ("aten._fft_r2c", (spec(4, 1024), (1,), 0, True), spec(4, 513, dtype="complex64"), 4 * 5 * 1024 * 10 // 2),
        ("aten._fft_c2r", (spec(4, 513, dtype="complex64"), (1,), 0, 1024), spec(4, 1024), 4 * 5 * 1024 * 10 // 2),
        (
            "aten._fft_c2c",
            (spec(4, 32, 32, dtype="complex64"), (1, 2), 0, True),
            spec(4, 32, 32, dtype="complex64"),
            4 * 5 * 1024 * 10,
        ),
        ("aten._fft_c2c", (spec(4, 1, dtype="complex64"), (1,), 0, True), spec(4, 1, dtype="complex64"), 0),
    ],
)
def test_fourier_transforms(operator: str, args: tuple[object, ...], out: object, flops: int) -> None:
    assert cost(operator, *args, out=out).flops == flops


def test_factorisations() -> None:
    n, rhs = 12, 5
    matrix, right = spec(3, n, n), spec(3, n, rhs)
    assert cost("aten.linalg_cholesky_ex", matrix, out=(matrix, spec(3))).flops == 3 * (n**3 // 3)
    assert cost("aten.linalg_inv_ex", matrix, out=(matrix, spec(3))).flops == 3 * 2 * n**3
    solved = cost("aten._linalg_solve_ex", matrix, right, out=(right, matrix, spec(3, n), spec(3)))
    assert solved.flops == 3 * (2 * n**3 // 3 + 2 * n * n * rhs)
    assert cost("aten.linalg_solve_triangular", matrix, right, upper=True, out=right).flops == 3 * n * n * rhs


P, STATE = (spec(5, 4), spec(7)), (spec(5, 4), spec(7))
STEPS = (spec(), spec())
ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False, "maximize": False}


def test_fused_adamw() -> None:
    count = 27
    decay, first, second, denominator, step = 1, 3, 4, 3, 3
    found = cost("aten._fused_adamw_", P, P, STATE, STATE, (), STEPS, weight_decay=0.01, **ADAM)
    assert found.family == "optimizer"
    assert found.flops == (decay + first + second + denominator + step) * count
    assert found.bytes_read == 4 * (4 * count + 2)
    assert found.bytes_written == 4 * 3 * count  # parameter and both moments, not the gradient
    assert cost("aten._fused_adamw_", P, P, STATE, STATE, (), STEPS, weight_decay=0.0, **ADAM).flops == 13 * count


def test_fused_sgd() -> None:
    settings = {"lr": 0.1, "dampening": 0.0, "nesterov": False, "maximize": False, "is_first_step": False}
    plain = cost("aten._fused_sgd_", P, P, (), weight_decay=0.0, momentum=0.0, **settings)
    assert plain.flops == 2 * 27 and plain.bytes_written == 4 * 27
    heavy = cost("aten._fused_sgd_", P, P, STATE, weight_decay=1e-4, momentum=0.9, **settings)
    assert heavy.flops == 6 * 27 and heavy.bytes_written == 4 * 2 * 27


def test_lists_of_tensors() -> None:
    found = cost("aten._foreach_mul_", P, 0.9)
    assert found.flops == 27 and found.bytes_read == found.bytes_written == 4 * 27
    assert cost("aten._foreach_addcdiv_", P, P, P, (-0.1, -0.2)).flops == 3 * 27
    assert cost("aten._foreach_addcdiv_", P, P, P).flops == 2 * 27
    assert cost("aten._foreach_sqrt", P, out=P).flops == 27


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "NAdam", "Adamax", "Adadelta", "RAdam"])
@pytest.mark.parametrize("foreach", [False, True])
def test_every_step_of_an_optimizer_is_counted(name: str, foreach: bool) -> None:
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.randn(5, 4))
    parameter.grad = torch.randn(5, 4)
    recorded = record(getattr(torch.optim, name)([parameter], foreach=foreach).step)
    assert recorded.costs and all(found.counted for found in recorded.costs)
    assert sum(found.flops for found in recorded.costs) >= 2 * 20
