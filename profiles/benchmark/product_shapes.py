"""The shapes of products that are timed, the most telling first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

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
    Product(512, 1024, 256, layout="nt"),
    Product(512, 256, 1024),
    Product(256, 1024, 512, layout="tn"),
    Product(512, 128, 784, layout="nt"),
    Product(32, 768, 256, layout="nt"),
    Product(768, 256, 32, layout="tn"),
    Product(32, 32, 64, batch=64),
    Product(16, 512, 192, layout="nt"),
    Product(16, 192, 512),
    Product(512, 192, 16, layout="tn"),
    Product(8, 64, 64, layout="nt"),
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
    Convolution(2, 32, 112, 32, 3, groups=32),
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

KEPT_BYTES: Final = 1 << 20
"""Matrices of fewer bytes are still in a cache when a model uses them: its weights, and what was just made."""

COLOURS: Final = 3
"""Channels of an image: nobody needs the gradient by it."""

ATTENTIONS: Final[Mapping[str, tuple[Attention, ...]]] = {
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
