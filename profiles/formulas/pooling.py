"""Pooling: every element of the output is a sum or a maximum over its window, one FLOP per element of the window."""

from __future__ import annotations

from collections.abc import Callable

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import movement_cost, vector_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import tensor_bytes

FAMILY = "pooling"


def _window(call: Call, position: int, dims: int) -> int:
    """Elements of one window; a kernel of one number is the same in all dimensions."""
    kernel = call.integers(position, "kernel_size")
    return kernel[0] ** dims if len(kernel) == 1 else size(kernel)


def _pool(dims: int, kernel: int, backward: bool) -> Callable[[Call], Cost]:
    """Formula of pooling with a kernel given at this position; backward counts one addition per window element."""

    def formula(call: Call) -> Cost:
        windows = elements(call.tensor(0) if backward else call.outputs[0])
        return vector_cost(call, FAMILY, windows * _window(call, kernel, dims))

    return formula


_FORWARD = {
    1: "avg_pool1d max_pool1d quantized_max_pool1d",
    2: ("avg_pool2d max_pool2d max_pool2d_with_indices mkldnn_max_pool2d quantized_max_pool2d fractional_max_pool2d"),
    3: ("avg_pool3d max_pool3d max_pool3d_with_indices mkldnn_max_pool3d quantized_max_pool3d fractional_max_pool3d"),
}
"""Operators whose kernel size is argument 1, by number of dimensions."""

for _dims, _names in _FORWARD.items():
    register_formula(*(f"aten.{name}" for name in _names.split()))(_pool(_dims, kernel=1, backward=False))
for _dims in (2, 3):
    register_formula(f"aten.avg_pool{_dims}d_backward")(_pool(_dims, kernel=2, backward=True))


def _touched(inputs: int, outputs: int) -> int:
    """Elements of all windows of adaptive pooling in one dimension: window i is floor(i n/m) to ceil((i+1) n/m)."""
    return sum(-(-(i + 1) * inputs // outputs) - i * inputs // outputs for i in range(outputs))


def _adaptive(dims: int, backward: bool) -> Callable[[Call], Cost]:
    """Formula of adaptive pooling over the last `dims` dimensions."""

    def formula(call: Call) -> Cost:
        large, small = (call.tensor(1), call.tensor(0)) if backward else (call.tensor(0), call.outputs[0])
        sizes = zip(large.shape[-dims:], small.shape[-dims:], strict=True)
        touched = size(tuple(_touched(inputs, outputs) for inputs, outputs in sizes))
        return vector_cost(call, FAMILY, touched * size(large.shape[:-dims]))

    return formula


_ADAPTIVE = {
    1: "adaptive_avg_pool1d adaptive_max_pool1d",
    2: "adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d mkldnn_adaptive_avg_pool2d",
    3: "adaptive_avg_pool3d _adaptive_avg_pool3d adaptive_max_pool3d",
}
_ADAPTIVE_BACKWARD = {
    2: "_adaptive_avg_pool2d_backward mkldnn_adaptive_avg_pool2d_backward",
    3: "_adaptive_avg_pool3d_backward adaptive_avg_pool3d_backward",
}
for _dims, _names in _ADAPTIVE.items():
    register_formula(*(f"aten.{name}" for name in _names.split()))(_adaptive(_dims, backward=False))
for _dims, _names in _ADAPTIVE_BACKWARD.items():
    register_formula(*(f"aten.{name}" for name in _names.split()))(_adaptive(_dims, backward=True))

_BY_INDEX = (
    "max_pool2d_with_indices_backward max_pool3d_with_indices_backward max_pool2d_backward "
    "adaptive_max_pool2d_backward adaptive_max_pool3d_backward fractional_max_pool2d_backward "
    "fractional_max_pool3d_backward mkldnn_max_pool2d_backward mkldnn_max_pool3d_backward"
)


@register_formula(*(f"aten.{name}" for name in _BY_INDEX.split()))
def max_pool_backward(call: Call) -> Cost:
    """Each element of the gradient is added at the place of its maximum; the input itself is not read."""
    cost = vector_cost(call, FAMILY, elements(call.tensor(0)))
    has_indices = call.operator != "aten.max_pool2d_backward" and "mkldnn" not in call.operator
    return cost.with_traffic(_gradient_bytes(call), cost.bytes_written) if has_indices else cost


def _gradient_bytes(call: Call) -> int:
    """Bytes of the gradient and of the indices, the last tensor."""
    return tensor_bytes(call.inputs[0]) + tensor_bytes(call.inputs[-1])


@register_formula("aten.max_unpool2d", "aten.max_unpool3d", "aten.im2col")
def unpool(call: Call) -> Cost:
    """Values put at given places."""
    return movement_cost(call)


@register_formula("aten.col2im")
def col2im(call: Call) -> Cost:
    """Columns added up into an image: one addition per element of the columns."""
    return vector_cost(call, FAMILY, elements(call.tensor(0)))
