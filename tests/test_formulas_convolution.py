"""Convolutions: every count written out by hand from the shapes."""

from __future__ import annotations

import pytest
from formula_calls import cost, record, spec

from profiles.formulas import Cost
from profiles.records import TensorSpec


def forward(image: TensorSpec, weight: TensorSpec, out: TensorSpec, groups: int = 1, transposed: bool = False) -> Cost:
    ones, zeros = (1, 1), (0, 0)
    return cost("aten.convolution", image, weight, None, ones, zeros, ones, transposed, zeros, groups, out=out)


def backward(
    gradient: TensorSpec, image: TensorSpec, weight: TensorSpec, groups: int, mask: tuple[bool, bool, bool]
) -> Cost:
    shapes = (gradient, image, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), groups, mask)
    outputs = tuple(
        tensor for tensor, wanted in zip((image, weight, spec(weight.shape[0])), mask, strict=True) if wanted
    )
    return cost("aten.convolution_backward", *shapes, out=outputs)


def test_plain() -> None:
    found = forward(spec(2, 3, 10, 10), spec(16, 3, 3, 3), spec(2, 16, 8, 8))
    assert found.flops == 2 * (2 * 16 * 8 * 8) * (3 * 3 * 3)
    assert found.dims == (("m", 2 * 8 * 8), ("n", 16), ("k", 27), ("batch", 1), ("kernel", 9), ("positions", 200))
    assert found.family == "convolution" and found.engine == "matrix"


def test_grouped() -> None:
    found = forward(spec(2, 8, 10, 10), spec(16, 2, 3, 3), spec(2, 16, 8, 8), groups=4)
    assert found.flops == 2 * (2 * 16 * 8 * 8) * (2 * 3 * 3)
    assert found.dims == (("m", 2 * 8 * 8), ("n", 4), ("k", 18), ("batch", 4), ("kernel", 9), ("positions", 200))


def test_depthwise() -> None:
    found = forward(spec(2, 32, 12, 12), spec(32, 1, 3, 3), spec(2, 32, 12, 12), groups=32)
    assert found.flops == 2 * (2 * 32 * 12 * 12) * 9


def test_dilation_and_stride_act_through_the_output_map_alone() -> None:
    found = forward(spec(1, 4, 15, 15), spec(6, 4, 3, 3), spec(1, 6, 5, 5))
    assert found.flops == 2 * (6 * 5 * 5) * (4 * 9)


def test_transposed_counts_the_input_map() -> None:
    found = forward(spec(1, 64, 8, 8), spec(64, 32, 4, 4), spec(1, 32, 16, 16), transposed=True)
    assert found.flops == 2 * (64 * 8 * 8) * (32 * 4 * 4)


def test_grouped_transposed() -> None:
    found = forward(spec(1, 64, 8, 8), spec(64, 8, 4, 4), spec(1, 32, 16, 16), groups=4, transposed=True)
    assert found.flops == 2 * (64 * 8 * 8) * (8 * 4 * 4)


@pytest.mark.parametrize(
    ("mask", "products"),
    [((True, True, True), 2), ((False, True, True), 1), ((True, False, False), 1), ((False, False, True), 0)],
)
def test_backward_counts_each_gradient_that_is_wanted(mask: tuple[bool, bool, bool], products: int) -> None:
    found = backward(spec(2, 16, 8, 8), spec(2, 8, 10, 10), spec(16, 2, 3, 3), 4, mask)
    multiply_adds = (2 * 16 * 8 * 8) * (2 * 3 * 3)
    bias_sum = 2 * 16 * 8 * 8
    assert found.flops == (products * 2 * multiply_adds or bias_sum)
    assert found.engine == ("matrix" if products else "vector")


def test_depthwise_weight_gradient_is_not_too_big_by_the_number_of_channels() -> None:
    found = backward(spec(2, 32, 12, 12), spec(2, 32, 12, 12), spec(32, 1, 3, 3), 32, (False, True, False))
    assert found.flops == 2 * (2 * 32 * 12 * 12) * 9


def test_backward_reads_only_what_each_gradient_needs() -> None:
    gradient, image, weight = spec(2, 16, 8, 8), spec(2, 8, 10, 10), spec(16, 8, 3, 3)
    grad_bytes, image_bytes, weight_bytes = (4 * tensor.storage_elements for tensor in (gradient, image, weight))
    by_weight = backward(gradient, image, weight, 1, (False, True, False))
    assert (by_weight.bytes_read, by_weight.bytes_written) == (grad_bytes + image_bytes, weight_bytes)
    by_input = backward(gradient, image, weight, 1, (True, False, False))
    assert (by_input.bytes_read, by_input.bytes_written) == (grad_bytes + weight_bytes, image_bytes)
    by_bias = backward(gradient, image, weight, 1, (False, False, True))
    assert (by_bias.bytes_read, by_bias.bytes_written) == (grad_bytes, 4 * 16)


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        ("aten.conv2d", (None, (1, 1), (0, 0), (1, 1), 4)),
        ("aten.mkldnn_convolution", (None, (0, 0), (1, 1), (1, 1), 4)),
        ("aten.cudnn_convolution", ((0, 0), (1, 1), (1, 1), 4, False, False, True)),
        ("aten.cudnn_convolution_relu", (spec(16), (1, 1), (0, 0), (1, 1), 4)),
        ("aten.miopen_convolution", (None, (0, 0), (1, 1), (1, 1), 4, False, False)),
        ("aten.convolution_overrideable", (None, (1, 1), (0, 0), (1, 1), False, (0, 0), 4)),
    ],
)
def test_every_backend_counts_the_same(operator: str, args: tuple[object, ...]) -> None:
    found = cost(operator, spec(2, 8, 10, 10), spec(16, 2, 3, 3), *args, out=spec(2, 16, 8, 8))
    assert found.flops == 2 * (2 * 16 * 8 * 8) * (2 * 3 * 3)


def test_quantised_convolution_takes_the_groups_from_the_channels() -> None:
    packed = (spec(16, 2, 3, 3, dtype="qint8"), None)
    image, out = spec(2, 8, 10, 10, dtype="quint8"), spec(2, 16, 8, 8, dtype="quint8")
    found = cost("quantized.conv2d", image, packed, 1.0, 0, out=out)
    assert found.flops == 2 * (2 * 16 * 8 * 8) * (2 * 3 * 3) and found.counted
    assert not cost("quantized.conv2d", image, "packed", 1.0, 0, out=out).counted


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_torch_modules_forward_and_backward(dims: int, transposed: bool, groups: int) -> None:
    torch = pytest.importorskip("torch")
    layer = getattr(torch.nn, f"Conv{'Transpose' if transposed else ''}{dims}d")
    module = layer(4, 6, 3, stride=2, padding=1, groups=groups)
    image = torch.randn(2, 4, *(9,) * dims, requires_grad=True)
    results = []
    recorded = record(lambda: results.append(module(image)) or results[0].sum().backward())
    positions = (image if transposed else results[0])[0, 0].numel()
    multiply_adds = 2 * positions * 4 * 6 // groups * 3**dims
    assert recorded.matrix_flops == 3 * 2 * multiply_adds
