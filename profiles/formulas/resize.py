"""Interpolation of images: each output element is a weighted sum of its taps, 2 x taps - 1 FLOPs.

Linear interpolation has 2 taps per dimension, cubic 4, nearest 1 (pure data movement). The gradient multiplies and adds
each tap: 2 x taps. The weights of the taps, equal for all channels, are not counted. With antialiasing the number of
taps grows with the reduction: filter support x scale, as in Pillow.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.call import product as size
from profiles.formulas.costs import movement_cost, vector_cost
from profiles.formulas.registry import register_formula

FAMILY = "pooling"
_TAPS = {
    "upsample_linear1d": 2,
    "upsample_bilinear2d": 4,
    "upsample_trilinear3d": 8,
    "upsample_bicubic2d": 16,
}
_NEAREST = ("upsample_nearest", "_upsample_nearest_exact")


def _resize(taps: int, backward: bool) -> Callable[[Call], Cost]:
    """Formula of a fixed number of taps."""

    def formula(call: Call) -> Cost:
        if backward:
            return vector_cost(call, FAMILY, 2 * taps * elements(call.tensor(0)))
        return vector_cost(call, FAMILY, (2 * taps - 1) * call.output_elements)

    return formula


for _name, _taps in _TAPS.items():
    register_formula(f"aten.{_name}")(_resize(_taps, backward=False))
    register_formula(f"aten.{_name}_backward")(_resize(_taps, backward=True))


@register_formula(*(f"aten.{name}{dims}d" for name in _NEAREST for dims in (1, 2, 3)))
def nearest(call: Call) -> Cost:
    """Copy the nearest element."""
    return movement_cost(call, FAMILY)


@register_formula(*(f"aten.{name}{dims}d_backward" for name in _NEAREST for dims in (1, 2, 3)))
def nearest_backward(call: Call) -> Cost:
    """Add each element of the gradient at its source."""
    return vector_cost(call, FAMILY, elements(call.tensor(0)))


_SUPPORT = {"bilinear": 1, "bicubic": 2, "lanczos": 3}
"""Half width of the filter."""


def _antialiased(support: int, backward: bool) -> Callable[[Call], Cost]:
    """Formula of a separable antialiasing filter, one pass per dimension, horizontal first."""

    def formula(call: Call) -> Cost:
        result = call.tensor(0) if backward else call.outputs[0]
        source = call.integers(2, "input_size") if backward else call.tensor(0).shape
        (height, width), (out_height, out_width) = source[-2:], result.shape[-2:]
        planes = size(result.shape[:-2])
        taps = [2 * ceil(support * max(have / want, 1.0)) for have, want in ((height, out_height), (width, out_width))]
        multiply_adds = planes * (height * out_width * taps[1] + out_height * out_width * taps[0])
        return vector_cost(call, FAMILY, 2 * multiply_adds)

    return formula


for _name, _support in _SUPPORT.items():
    register_formula(f"aten._upsample_{_name}2d_aa")(_antialiased(_support, backward=False))
    register_formula(f"aten._upsample_{_name}2d_aa_backward")(_antialiased(_support, backward=True))

_GRID_TAPS = {0: (4, 8), 1: (1, 1), 2: (16, 64)}
"""Taps in two and three dimensions by interpolation mode: bilinear, nearest, bicubic."""


def _grid_taps(call: Call, interpolation: int) -> int:
    """Taps of one sample."""
    dims = call.tensor(0).shape
    return _GRID_TAPS[call.integer(interpolation, "interpolation_mode", 0)][len(dims) - 4]


@register_formula(
    "aten.grid_sampler", "aten.grid_sampler_2d", "aten.grid_sampler_3d", "aten._grid_sampler_2d_cpu_fallback"
)
def grid_sampler(call: Call) -> Cost:
    """(input, grid, interpolation_mode, ...): at most as many elements of the input are read as there are taps."""
    return vector_cost(call, FAMILY, (2 * _grid_taps(call, 2) - 1) * call.output_elements)


@register_formula("aten.cudnn_grid_sampler")
def cudnn_grid_sampler(call: Call) -> Cost:
    """Bilinear, two dimensions."""
    return vector_cost(call, FAMILY, 7 * call.output_elements)


@register_formula(
    "aten.grid_sampler_2d_backward", "aten.grid_sampler_3d_backward", "aten._grid_sampler_2d_cpu_fallback_backward"
)
def grid_sampler_backward(call: Call) -> Cost:
    """(grad, input, grid, mode, ...): 2 FLOPs per tap for the input, 2 per tap and dimension for the grid."""
    taps = _grid_taps(call, 3)
    mask = call.flags(6, "output_mask") or (True, True)
    dims = len(call.tensor(0).shape) - 2
    return vector_cost(call, FAMILY, 2 * taps * (mask[0] + dims * mask[1]) * elements(call.tensor(0)))


@register_formula("aten.cudnn_grid_sampler_backward")
def cudnn_grid_sampler_backward(call: Call) -> Cost:
    """(self, grid, grad_output): bilinear, two dimensions, both gradients."""
    return vector_cost(call, FAMILY, 2 * 4 * 3 * elements(call.tensor(2)))


@register_formula("aten.affine_grid_generator", "aten.cudnn_affine_grid_generator")
def affine_grid(call: Call) -> Cost:
    """Each coordinate of the grid is a dot product with a row of theta: 2 x (dims + 1) FLOPs."""
    return vector_cost(call, FAMILY, 2 * call.tensor(0).shape[-1] * call.output_elements)


@register_formula("aten.affine_grid_generator_backward", "aten.cudnn_affine_grid_generator_backward")
def affine_grid_backward(call: Call) -> Cost:
    """The gradient of the grid times the coordinates."""
    gradient = call.tensor(0)
    return vector_cost(call, FAMILY, 2 * (gradient.shape[-1] + 1) * elements(gradient))
