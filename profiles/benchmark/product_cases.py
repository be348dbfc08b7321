"""Cases that multiply: matrix products, convolutions, attention, recurrent layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from profiles.benchmark.cases import ELEMENT_BYTES, Case, Lab, times
from profiles.benchmark.clock import Call

Layout = Literal["nn", "nt", "tn"]


@dataclass(frozen=True, slots=True)
class Product:
    """`batch` products of (m x k) by (k x n).

    Layout "nt" reads the second operand transposed (a linear layer), "tn" the first (the gradient by its weight).
    """

    m: int
    n: int
    k: int
    batch: int = 1
    layout: Layout = "nn"


@dataclass(frozen=True, slots=True)
class Convolution:
    """A 2d convolution of square images and kernels; `groups` equal to the channels: depthwise."""

    images: int
    channels: int
    size: int
    out_channels: int
    kernel: int
    stride: int = 1
    groups: int = 1
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    """Scaled dot-product attention of `batch` sequences."""

    batch: int
    heads: int
    tokens: int
    head_size: int
    causal: bool = False


_CPU_PRODUCTS: Final = (
    Product(1024, 1024, 1024),
    Product(128, 768, 768, layout="nt"),
    Product(128, 768, 3072),
    Product(768, 3072, 128, layout="tn"),
    Product(256, 256, 256),
    Product(64, 64, 64, batch=24),
    Product(16, 1024, 1024, layout="nt"),
    Product(64, 128, 9216, layout="nt"),
    Product(4096, 64, 64, layout="nt"),
    Product(64, 8192, 512, layout="nt"),
    Product(1024, 256, 32, layout="tn"),
    Product(128, 10, 512, layout="nt"),
    Product(128, 64, 128, batch=24),
)
_CPU_MORE_PRODUCTS: Final = (
    Product(2048, 2048, 2048),
    Product(512, 512, 512),
    Product(32, 2048, 512, layout="nt"),
    Product(512, 2048, 32, layout="tn"),
    Product(512, 3072, 768, layout="nt"),
    Product(8, 4096, 1024, layout="nt"),
    Product(256, 32000, 256, layout="nt"),
    Product(196, 196, 64, batch=24),
    Product(16, 16, 32, batch=256),
)
_GPU_PRODUCTS: Final = (
    Product(8192, 8192, 8192),
    Product(4096, 4096, 4096, layout="nt"),
    Product(2048, 2048, 2048),
    Product(8192, 1024, 1024, layout="nt"),
    Product(1024, 4096, 8192, layout="tn"),
    Product(512, 512, 512),
    Product(512, 4096, 1024, layout="nt"),
    Product(1024, 1024, 64, batch=96),
    Product(128, 128, 64, batch=384),
)
_GPU_MORE_PRODUCTS: Final = (
    Product(16384, 16384, 16384),
    Product(8192, 32000, 4096, layout="nt"),
    Product(4096, 4096, 16384, layout="tn"),
    Product(256, 1024, 1024, layout="nt"),
    Product(64, 4096, 4096, layout="nt"),
    Product(16384, 512, 512, layout="nt"),
    Product(256, 256, 256, batch=64),
)

_CPU_CONVOLUTIONS: Final = (
    Convolution(2, 64, 40, 64, 3),
    Convolution(2, 256, 14, 256, 3),
    Convolution(2, 3, 112, 64, 7, 2),
    Convolution(2, 256, 28, 64, 1),
    Convolution(2, 64, 28, 256, 1),
    Convolution(16, 16, 32, 16, 3),
    Convolution(2, 144, 28, 144, 3, groups=144),
    Convolution(2, 128, 28, 256, 3, 2),
    Convolution(32, 1, 28, 32, 5),
    Convolution(2, 512, 7, 512, 3),
    Convolution(1, 3, 224, 768, 16, 16),
    Convolution(8, 256, 8, 128, 4, 2, transposed=True),
)
_CPU_MORE_CONVOLUTIONS: Final = (
    Convolution(1, 96, 56, 96, 7, groups=96),
    Convolution(2, 128, 28, 128, 3, groups=32),
    Convolution(8, 32, 28, 64, 5),
    Convolution(2, 96, 28, 24, 1),
    Convolution(2, 32, 112, 32, 3, groups=32),
    Convolution(2, 576, 14, 576, 5, 2, groups=576),
    Convolution(2, 128, 56, 128, 3),
    Convolution(2, 1024, 7, 2048, 1),
)
_GPU_CONVOLUTIONS: Final = (
    Convolution(64, 64, 56, 64, 3),
    Convolution(64, 256, 14, 256, 3),
    Convolution(64, 3, 224, 64, 7, 2),
    Convolution(64, 256, 56, 64, 1),
    Convolution(64, 144, 56, 144, 3, groups=144),
    Convolution(64, 128, 56, 256, 3, 2),
)
_GPU_MORE_CONVOLUTIONS: Final = (
    Convolution(64, 512, 7, 512, 3),
    Convolution(64, 1024, 14, 256, 1),
    Convolution(64, 128, 28, 128, 3, groups=32),
    Convolution(32, 96, 56, 96, 7, groups=96),
)

_ATTENTIONS: Final[Mapping[str, tuple[Attention, ...]]] = {
    "cpu": (Attention(2, 12, 128, 64), Attention(1, 12, 128, 64, causal=True), Attention(8, 8, 32, 64)),
    "gpu": (Attention(8, 16, 2048, 64, causal=True), Attention(16, 16, 512, 64), Attention(4, 32, 4096, 128, True)),
}


def products(kind: str, full: bool) -> tuple[Product, ...]:
    """Return the matrix products of a kind of device, the most telling first."""
    if kind == "cpu":
        return _CPU_PRODUCTS + _CPU_MORE_PRODUCTS * full
    return _GPU_PRODUCTS + _GPU_MORE_PRODUCTS * full


def convolutions(kind: str, full: bool) -> tuple[Convolution, ...]:
    """Return the convolutions of a kind of device, the most telling first."""
    if kind == "cpu":
        return _CPU_CONVOLUTIONS + _CPU_MORE_CONVOLUTIONS * full
    return _GPU_CONVOLUTIONS + _GPU_MORE_CONVOLUTIONS * full


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
    """Yield two cases for every convolution: forward, and both gradients."""
    for shape in shapes:
        for backward in (False, True):
            yield Case(
                name=f"convolution {precision} {_named(shape)} {'backward' if backward else 'forward'}",
                family="convolution",
                precision=precision,
                make=_convolution(shape, precision, backward),
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


def _convolution(shape: Convolution, precision: str, backward: bool) -> Any:
    def make(lab: Lab) -> Call:
        image = lab.random(shape.images, shape.channels, shape.size, shape.size, precision=precision)
        weight = _weight(lab, shape, precision)
        aten = lab.torch.ops.aten
        padding = 0 if shape.kernel == shape.stride else (shape.kernel - 1) // 2
        settings = ([shape.stride] * 2, [padding] * 2, [1, 1], shape.transposed, [0, 0], shape.groups)
        if not backward:
            return lambda: aten.convolution(image, weight, None, *settings)
        gradient = lab.torch.randn_like(aten.convolution(image, weight, None, *settings))
        masks = [True, True, False]
        return lambda: aten.convolution_backward(gradient, image, weight, None, *settings, masks)

    return make


def _weight(lab: Lab, shape: Convolution, precision: str) -> Any:
    inner, outer = shape.channels // shape.groups, shape.out_channels
    channels = (shape.channels, outer) if shape.transposed else (outer, inner)
    return lab.random(*channels, shape.kernel, shape.kernel, precision=precision)


def attention_cases(kind: str, precision: str) -> Iterator[Case]:
    """Yield two cases for every attention: forward, and its gradients."""
    for shape in _ATTENTIONS[kind]:
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
