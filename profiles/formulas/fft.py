"""Fourier transforms: 5 N log2 N FLOPs of a complex one of N points, half of that of a real one.

That is the radix-2 Cooley-Tukey count that benchFFT (https://www.fftw.org/speed/method.html) and vendors report,
whatever algorithm runs. Over several dimensions N is the number of points of all of them.
"""

from __future__ import annotations

from math import log2

from profiles.formulas.call import Call, Cost, elements
from profiles.formulas.costs import vector_cost
from profiles.formulas.registry import register_formula
from profiles.records import TensorSpec


def transform_flops(points: int, transforms: int, real: bool) -> int:
    """FLOPs of so many transforms of so many points, rounded to a whole number."""
    return round((2.5 if real else 5.0) * transforms * points * log2(points)) if points > 1 else 0


def _cost(call: Call, signal: TensorSpec, real: bool) -> Cost:
    """Cost of transforming `signal`, the tensor with all points, over the dimensions of argument 1."""
    points = 1
    for dim in call.integers(1, "dim"):
        points *= signal.shape[dim]
    transforms = elements(signal) // max(points, 1)
    return vector_cost(call, "fft", transform_flops(points, transforms, real))


@register_formula("aten._fft_r2c")
def real_to_complex(call: Call) -> Cost:
    """Real input."""
    return _cost(call, call.tensor(0), real=True)


@register_formula("aten._fft_c2r")
def complex_to_real(call: Call) -> Cost:
    """Real output."""
    return _cost(call, call.outputs[0], real=True)


@register_formula("aten._fft_c2c")
def complex_to_complex(call: Call) -> Cost:
    """Complex input and output."""
    return _cost(call, call.tensor(0), real=False)
