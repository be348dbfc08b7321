"""Cases that move data and multiply no matrices: one operator each, on data larger than the caches.

The operators are those that training steps spend their time in; others are taken to be like those of their family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from profiles.benchmark.cases import ELEMENT_BYTES, Case, Lab, times
from profiles.benchmark.clock import Call

Maker = Callable[[Lab, str, tuple[int, ...]], Call]

AGAIN: Final = "again"
"""Ends the name of a case that uses the same data in every call."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One operator: its name, its family of timings, the layout of its data and how to make the call."""

    name: str
    family: str
    layout: str
    make: Maker
    tensors: int = 2


_SHAPES: Final[Mapping[tuple[str, str], tuple[int, ...]]] = {
    ("cpu", "flat"): (1 << 20,),
    ("cpu", "rows"): (512, 768),
    ("cpu", "wide"): (64, 16384),
    ("cpu", "images"): (4, 64, 56, 56),
    ("gpu", "flat"): (1 << 26,),
    ("gpu", "rows"): (16384, 2048),
    ("gpu", "wide"): (1024, 32768),
    ("gpu", "images"): (64, 64, 112, 112),
}
"""Sizes of the data by kind of device: some milliseconds' work, or as little as shows the bandwidth."""

_SMALL: Final[Mapping[str, tuple[int, ...]]] = {
    "flat": (1 << 15,),
    "rows": (64, 768),
    "wide": (4, 16384),
    "images": (1, 16, 56, 56),
}
"""Sizes that a core's own cache holds: what an operation takes on a CPU that follows the one that made its input."""

_SWEEP: Final[Mapping[str, tuple[int, ...]]] = {
    "cpu": (9, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23),
    "gpu": (10, 18, 21, 24, 26),
}
"""Elements of an addition as powers of 2, from what a kernel's start takes to what only memory holds."""


def _unary(name: str) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        value, function = lab.random(*shape, precision=precision), getattr(lab.torch.ops.aten, name)
        return lambda: function(value)

    return make


def _positive(name: str) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        value, function = lab.random(*shape, precision=precision).abs(), getattr(lab.torch.ops.aten, name)
        return lambda: function(value)

    return make


def _binary(name: str, *more: object) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        one, other = (lab.random(*shape, precision=precision) for _ in range(2))
        one = one.clone() if name.endswith("_") else one
        function = getattr(lab.torch.ops.aten, name)
        return lambda: function(one, other, *more)

    return make


def _ternary(name: str) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        held, one, other = (lab.random(*shape, precision=precision).abs() + 1 for _ in range(3))
        function = getattr(lab.torch.ops.aten, name)
        return lambda: function(held, one, other, value=1e-6)

    return make


def _scaled(name: str) -> Maker:
    """In place by a number, as optimizers do; 1 keeps the values from running off."""

    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        value, function = lab.own(*shape, precision=precision), getattr(lab.torch.ops.aten, name)
        return lambda: function(value, 1.0)

    return make


def _added(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    one, other = lab.own(*shape, precision=precision), lab.random(*shape, precision=precision) * 1e-6
    return lambda: one.add_(other)


def _where(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    one, other = (lab.random(*shape, precision=precision) for _ in range(2))
    mask = one > other
    return lambda: lab.torch.where(mask, one, other)


def _softmax(name: str) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        value, function = lab.random(*shape, precision=precision), getattr(lab.torch.ops.aten, name)
        return lambda: function(value, -1, False)

    return make


def _softmax_backward(name: str) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        gradient, output = (lab.random(*shape, precision=precision).softmax(-1) for _ in range(2))
        function = getattr(lab.torch.ops.aten, name)
        return lambda: function(gradient, output, -1, gradient.dtype)

    return make


def _layer_norm(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value, weight, bias = lab.random(*shape, precision=precision), *_scale(lab, precision, shape[-1])
    function = lab.torch.ops.aten.native_layer_norm
    return lambda: function(value, [shape[-1]], weight, bias, 1e-5)


def _layer_norm_backward(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value, weight, bias = lab.random(*shape, precision=precision), *_scale(lab, precision, shape[-1])
    aten = lab.torch.ops.aten
    _, mean, deviation = aten.native_layer_norm(value, [shape[-1]], weight, bias, 1e-5)
    gradient, masks = lab.torch.randn_like(value), [True, True, True]
    function = aten.native_layer_norm_backward
    return lambda: function(gradient, value, [shape[-1]], mean, deviation, weight, bias, masks)


def _scale(lab: Lab, precision: str, channels: int) -> tuple[Any, Any]:
    return lab.random(channels, precision=precision), lab.random(channels, precision=precision)


def _batch_norm(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value, (weight, bias) = lab.random(*shape, precision=precision), _scale(lab, "float32", shape[1])
    mean, variance = lab.torch.zeros_like(weight), lab.torch.ones_like(weight)
    function = lab.torch.ops.aten.native_batch_norm
    return lambda: function(value, weight, bias, mean, variance, True, 0.1, 1e-5)


def _batch_norm_backward(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value, (weight, bias) = lab.random(*shape, precision=precision), _scale(lab, "float32", shape[1])
    mean, variance = lab.torch.zeros_like(weight), lab.torch.ones_like(weight)
    aten = lab.torch.ops.aten
    _, saved, deviation = aten.native_batch_norm(value, weight, bias, mean, variance, True, 0.1, 1e-5)
    gradient, function, masks = lab.torch.randn_like(value), aten.native_batch_norm_backward, [True, True, True]
    return lambda: function(gradient, value, weight, mean, variance, saved, deviation, True, 1e-5, masks)


def _max_pool(size: int) -> Maker:
    def make(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
        value, function = lab.random(*shape, precision=precision), lab.torch.ops.aten.max_pool2d_with_indices
        return lambda: function(value, [size, size], [2, 2], [(size - 1) // 2] * 2)

    return make


def _max_pool_backward(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value, aten = lab.random(*shape, precision=precision), lab.torch.ops.aten
    output, places = aten.max_pool2d_with_indices(value, [3, 3], [2, 2], [1, 1])
    gradient, function = lab.torch.randn_like(output), aten.max_pool2d_with_indices_backward
    return lambda: function(gradient, value, [3, 3], [2, 2], [1, 1], [1, 1], False, places)


def _mean(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value = lab.random(*shape, precision=precision)
    return lambda: value.mean((2, 3))


def _sum_rows(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value = lab.random(*shape, precision=precision)
    return lambda: value.sum(0)


def _bernoulli(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    value = lab.own(*shape, precision=precision)
    return lambda: value.bernoulli_(0.9)


def _transposed(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    """The copy that makes (batch, heads, tokens, size) of (batch, tokens, heads, size), and back."""
    value = lab.random(shape[0] // 64, 64, shape[1] // 64, 64, precision=precision).transpose(1, 2)
    return lambda: value.contiguous()


def _joined(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    parts = [lab.random(*shape, precision=precision) for _ in range(2)]
    return lambda: lab.torch.cat(parts, -1)


def _embedding(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    table, places = lab.random(shape[0] * 16, shape[1], precision=precision), lab.integers(shape[0] * 16, shape[0])
    return lambda: lab.torch.nn.functional.embedding(places, table)


def _embedding_backward(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    gradient, places = lab.random(*shape, precision=precision), lab.integers(shape[0] * 4, shape[0])
    function = lab.torch.ops.aten.embedding_dense_backward
    return lambda: function(gradient, places, shape[0] * 4, -1, False)


PROBES: Final = (
    Probe("add", "elementwise", "flat", _binary("add"), 3),
    Probe("mul", "elementwise", "flat", _binary("mul"), 3),
    Probe("add_", "elementwise", "flat", _added),
    Probe("mul_", "elementwise", "flat", _scaled("mul_"), 1),
    Probe("div", "elementwise", "flat", _binary("div"), 3),
    Probe("sqrt", "elementwise", "flat", _positive("sqrt")),
    Probe("lerp_", "elementwise", "flat", _binary("lerp_", 1e-6)),
    Probe("addcmul_", "elementwise", "flat", _ternary("addcmul_"), 3),
    Probe("addcdiv_", "elementwise", "flat", _ternary("addcdiv_"), 3),
    Probe("relu", "elementwise", "flat", _unary("relu")),
    Probe("threshold_backward", "elementwise", "flat", _binary("threshold_backward", 0), 3),
    Probe("gelu", "elementwise", "flat", _unary("gelu")),
    Probe("gelu_backward", "elementwise", "flat", _binary("gelu_backward"), 3),
    Probe("silu", "elementwise", "flat", _unary("silu")),
    Probe("silu_backward", "elementwise", "flat", _binary("silu_backward"), 3),
    Probe("tanh", "elementwise", "flat", _unary("tanh")),
    Probe("sigmoid", "elementwise", "flat", _unary("sigmoid")),
    Probe("exp", "elementwise", "flat", _unary("exp")),
    Probe("where", "elementwise", "flat", _where, 4),
    Probe("softmax", "softmax", "rows", _softmax("_softmax")),
    Probe("softmax backward", "softmax", "rows", _softmax_backward("_softmax_backward_data"), 3),
    Probe("log softmax", "softmax", "wide", _softmax("_log_softmax")),
    Probe("log softmax backward", "softmax", "wide", _softmax_backward("_log_softmax_backward_data"), 3),
    Probe("layer norm", "normalisation", "rows", _layer_norm),
    Probe("layer norm backward", "normalisation", "rows", _layer_norm_backward, 3),
    Probe("batch norm", "normalisation", "images", _batch_norm),
    Probe("batch norm backward", "normalisation", "images", _batch_norm_backward, 3),
    Probe("max pool 2", "pooling", "images", _max_pool(2)),
    Probe("max pool 3", "pooling", "images", _max_pool(3)),
    Probe("max pool backward", "pooling", "images", _max_pool_backward),
    Probe("mean of images", "reduction", "images", _mean, 1),
    Probe("sum of rows", "reduction", "rows", _sum_rows, 1),
    Probe("bernoulli", "random", "flat", _bernoulli, 1),
    Probe("transposed copy", "copy", "rows", _transposed),
    Probe("concatenation", "copy", "rows", _joined, 4),
    Probe("embedding", "embedding", "rows", _embedding),
    Probe("embedding backward", "embedding", "rows", _embedding_backward, 5),
)


def vector_cases(kind: str, precision: str) -> Iterator[Case]:
    """Yield a case for every operator with data from memory, and on a CPU another with data from its cache."""
    for probe in PROBES:
        shape = _SHAPES[kind, probe.layout]
        yield _case(probe, precision, shape, f"{probe.name} {precision} {times(shape)}")
        if kind == "cpu":
            small = _SMALL[probe.layout]
            yield _case(probe, precision, small, f"{probe.name} {precision} {times(small)} {AGAIN}")


def sweep_cases(kind: str) -> Iterator[Case]:
    """Yield additions of rising size on the same data, from what fits the nearest cache to what fits none."""
    addition = Probe("add", "elementwise", "flat", _into)
    for power in _SWEEP[kind]:
        elements = 1 << power
        case = _case(addition, "float32", (elements,), f"addition float32 of {elements} {AGAIN}")
        yield case


def _into(lab: Lab, precision: str, shape: tuple[int, ...]) -> Call:
    one, other, into = (lab.own(*shape, precision=precision) for _ in range(3))
    return lambda: lab.torch.add(one, other, out=into)


def _case(probe: Probe, precision: str, shape: tuple[int, ...], name: str) -> Case:
    def make(lab: Lab) -> Call:
        return probe.make(lab, precision, shape)

    elements = 1
    for size in shape:
        elements *= size
    touched = probe.tensors * elements * ELEMENT_BYTES[precision]
    return Case(name, probe.family, precision, make, touched, cached=name.endswith(AGAIN))
