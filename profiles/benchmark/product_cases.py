"""Cases that multiply: matrix products, convolutions, attention, recurrent layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from profiles.benchmark.cases import ELEMENT_BYTES, Case, Lab, times
from profiles.benchmark.clock import Call
from profiles.benchmark.product_shapes import ATTENTIONS, COLOURS, KEPT_BYTES, Attention, Convolution, Product


def matmul_cases(shapes: Iterable[Product], precision: str) -> Iterator[Case]:
    """Yield a case for every product."""
    for shape in shapes:
        batch = f"{shape.batch}x" * (shape.batch > 1)
        size = shape.batch * (shape.m * shape.k + shape.k * shape.n + shape.m * shape.n)
        yield Case(
            name=f"matmul {precision} {batch}{times((shape.m, shape.n, shape.k))} {shape.layout}",
            family="matmul",
            precision=precision,
            make=_float8_product(shape) if precision == "float8" else _product(shape, precision),
            working_set_bytes=size * ELEMENT_BYTES[precision],
            cached=size * ELEMENT_BYTES[precision] < KEPT_BYTES,
        )


def _product(shape: Product, precision: str) -> Any:
    def make(lab: Lab) -> Call:
        batch = (shape.batch,) if shape.batch > 1 else ()
        left = lab.random(*batch, *_swapped(shape.m, shape.k, shape.layout == "tn"), precision=precision)
        right = lab.random(*batch, *_swapped(shape.k, shape.n, shape.layout == "nt"), precision=precision)
        left = left.transpose(-1, -2) if shape.layout == "tn" else left
        right = right.transpose(-1, -2) if shape.layout == "nt" else right
        return lambda: left @ right

    return make


def _swapped(rows: int, columns: int, transposed: bool) -> tuple[int, int]:
    return (columns, rows) if transposed else (rows, columns)


def _float8_product(shape: Product) -> Any:
    """Products in FP8 go through `torch._scaled_mm`, which takes the second operand by columns."""

    def make(lab: Lab) -> Call:
        left = lab.random(shape.m, shape.k, precision="float8")
        right = lab.random(shape.n, shape.k, precision="float8").t()
        one = lab.torch.ones((), device=lab.device)
        multiply = lab.torch._scaled_mm
        return lambda: multiply(left, right, scale_a=one, scale_b=one, out_dtype=lab.torch.bfloat16)

    return make


def convolution_cases(shapes: Iterable[Convolution], precision: str) -> Iterator[Case]:
    """Yield two cases for every convolution: forward, and its gradients; of images only that by the weight."""
    for shape in shapes:
        for part in ("forward", "weight gradient" if shape.channels <= COLOURS else "backward"):
            yield Case(
                name=f"convolution {precision} {_named(shape)} {part}",
                family="convolution",
                precision=precision,
                make=_convolution(shape, precision, part),
                working_set_bytes=_touched(shape) * ELEMENT_BYTES[precision],
            )


def _named(shape: Convolution) -> str:
    grouped = f" groups {shape.groups}" if shape.groups > 1 else ""
    kind = " transposed" if shape.transposed else ""
    sizes = f"{times((shape.images, shape.channels, shape.size, shape.size))} to {shape.out_channels}"
    return f"{sizes} kernel {shape.kernel}/{shape.stride}{grouped}{kind}"


def _touched(shape: Convolution) -> int:
    area = shape.size**2
    inside = shape.images * shape.channels * area
    outside = shape.images * shape.out_channels * area
    return inside + (outside * shape.stride**2 if shape.transposed else outside // shape.stride**2)


def _convolution(shape: Convolution, precision: str, part: str) -> Any:
    def make(lab: Lab) -> Call:
        image = lab.random(shape.images, shape.channels, shape.size, shape.size, precision=precision)
        weight = _weight(lab, shape, precision)
        aten = lab.torch.ops.aten
        padding = 0 if shape.kernel == shape.stride else (shape.kernel - 1) // 2
        settings = ([shape.stride] * 2, [padding] * 2, [1, 1], shape.transposed, [0, 0], shape.groups)
        if part == "forward":
            return lambda: aten.convolution(image, weight, None, *settings)
        gradient = lab.torch.randn_like(aten.convolution(image, weight, None, *settings))
        masks = [part == "backward", True, False]
        return lambda: aten.convolution_backward(gradient, image, weight, None, *settings, masks)

    return make


def _weight(lab: Lab, shape: Convolution, precision: str) -> Any:
    inner, outer = shape.channels // shape.groups, shape.out_channels
    channels = (shape.channels, outer) if shape.transposed else (outer, inner)
    return lab.random(*channels, shape.kernel, shape.kernel, precision=precision)


def attention_cases(kind: str, precision: str) -> Iterator[Case]:
    """Yield two cases for every attention: forward, and its gradients."""
    for shape in ATTENTIONS[kind]:
        sizes = times((shape.batch, shape.heads, shape.tokens, shape.head_size)) + " causal" * shape.causal
        elements = 4 * shape.batch * shape.heads * shape.tokens * shape.head_size
        for backward in (False, True):
            yield Case(
                name=f"attention {precision} {sizes} {'backward' if backward else 'forward'}",
                family="attention",
                precision=precision,
                make=_attention(shape, precision, backward),
                working_set_bytes=elements * ELEMENT_BYTES[precision],
            )


def _attention(shape: Attention, precision: str, backward: bool) -> Any:
    def make(lab: Lab) -> Call:
        sizes = (shape.batch, shape.heads, shape.tokens, shape.head_size)
        inputs = [lab.random(*sizes, precision=precision, grad=backward) for _ in range(3)]
        attend = lab.torch.nn.functional.scaled_dot_product_attention
        if not backward:
            return lambda: attend(*inputs, is_causal=shape.causal)
        result = attend(*inputs, is_causal=shape.causal)
        gradient = lab.torch.randn_like(result)
        return lambda: lab.torch.autograd.grad(result, inputs, gradient, retain_graph=True)

    return make


def recurrent_cases(kind: str, precision: str) -> Iterator[Case]:
    """Yield an LSTM layer as it runs in training: forward, and forward with backward."""
    batch, tokens, size = (16, 24, 256) if kind == "cpu" else (64, 128, 1024)
    for backward in (False, True):
        yield Case(
            name=f"lstm {precision} {times((batch, tokens, size))} {'with backward' if backward else 'forward'}",
            family="recurrent",
            precision=precision,
            make=_recurrent((batch, tokens, size), precision, backward),
            working_set_bytes=8 * size * size * ELEMENT_BYTES[precision],
        )


def _recurrent(sizes: tuple[int, int, int], precision: str, backward: bool) -> Any:
    def make(lab: Lab) -> Call:
        layer = lab.torch.nn.LSTM(sizes[2], sizes[2], batch_first=True, device=lab.device)
        inputs = lab.random(*sizes, precision=precision)
        layer = layer.to(inputs.dtype)
        if not backward:
            return lambda: layer(inputs)
        gradient, weights = lab.torch.randn_like(inputs), tuple(layer.parameters())
        return lambda: lab.torch.autograd.grad(layer(inputs)[0], weights, gradient)

    return make
