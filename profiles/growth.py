"""How numbers grow with the batch size B and the sequence length S: exact polynomials, never approximations.

A tensor's shape, a kernel's FLOPs and the bytes alive at a moment are polynomials in B and S with rational
coefficients. Here they are evaluated, in integer arithmetic throughout; `profiles.growth_fit` finds them.

A *point* is a pair (B, S) at which the model was traced; S is 1 where the model has no sequence. A *monomial* (i, j, r)
stands for B**i * S**j * R**r, where R is S rounded up to a multiple of 32: CUDA's memory-efficient attention pads the
log-sum-exp that it saves to that (kAlignLSE in torch's
aten/src/ATen/native/transformers/cuda/mem_eff_attention/kernel_forward.h). Two powers more, (i, j, r, p, g), are those
of P and G, S rounded up to multiples of 8 and of 16: the same attention has the rows of its masks padded to 8 (pad_bias
in torch's aten/src/ATen/native/transformers/attention.cpp) and those of their gradients to 16
(_efficient_attention_backward in cuda/attention_backward.cu). Powers of 0 at the end, from the fourth on, are left out.

Where a model takes images of any size, S is the side of an image in pixels, and a point has a third number: the patches
that attention sees, which are what R, P and G round up then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hardware_db.errors import UsageError

Point = tuple[int, ...]
Monomial = tuple[int, ...]
Integers = NDArray[np.int64] | NDArray[np.object_]

ROUNDING = 32
MASK_ROUNDING = 8
MASK_GRADIENT_ROUNDING = 16
_SAFE = 2.0**62


@dataclass(frozen=True)
class SizePolynomials:
    """A table of polynomials in B and S.

    Row n means the sum over t of `coefficients[n][t]` times monomial `monomials[t]`, divided by `denominators[n]`.
    """

    monomials: tuple[Monomial, ...]
    coefficients: tuple[tuple[int, ...], ...]
    denominators: tuple[int, ...]

    @classmethod
    def reduced(
        cls, monomials: tuple[Monomial, ...], numerators: Sequence[Sequence[int]], denominator: int
    ) -> SizePolynomials:
        """Make polynomials from rows over one common denominator, in lowest terms."""
        divisors = [math.gcd(denominator, *row) for row in numerators]
        coefficients = tuple(tuple(c // d for c in row) for row, d in zip(numerators, divisors, strict=True))
        return cls(monomials, coefficients, tuple(denominator // d for d in divisors))

    def distinct(self) -> tuple[SizePolynomials, list[int]]:
        """Return the table without repeated rows, and where each old row is in it."""
        places: dict[tuple[tuple[int, ...], int], int] = {}
        rows = zip(self.coefficients, self.denominators, strict=True)
        where = [places.setdefault(row, len(places)) for row in rows]
        return SizePolynomials(self.monomials, tuple(c for c, _ in places), tuple(d for _, d in places)), where

    def at(self, batch_size: int, sequence_length: int | None, patches: int | None = None) -> Integers:
        """Return the value of every polynomial: int64, or Python integers where int64 could overflow.

        Raises
        ------
        UsageError
            If a value is no integer or below 0: the model cannot have been run at this size.
        """
        powers = self.powers(batch_size, sequence_length, patches)
        values = _product(self._matrix, self._magnitudes, powers)
        if (fractional := self._fractional).size:
            values = _divide(values, fractional, self._divisors)
        if values.size and values.min() < 0:
            raise UsageError(
                f"The model cannot run at {size_text(batch_size, sequence_length)}: a size comes out below 0"
            )
        return values

    def powers(self, batch_size: int, sequence_length: int | None, patches: int | None = None) -> list[int]:
        """Return the value of every monomial."""
        point = (batch_size, 1 if sequence_length is None else sequence_length)
        whole = point if patches is None else (*point, patches)
        return [monomial_value(monomial, whole) for monomial in self.monomials]

    def pinned(self, sequence_length: int, patches: int) -> SizePolynomials:
        """Return the polynomials in B alone that are left where S is known."""
        degrees = sorted({0, *(monomial[0] for monomial in self.monomials)})
        values = [(m[0], monomial_value((0, *m[1:]), (1, sequence_length, patches))) for m in self.monomials]
        rows = [
            [sum(c * v for c, (power, v) in zip(row, values, strict=True) if power == degree) for degree in degrees]
            for row in self.coefficients
        ]
        divisors = [math.gcd(d, *row) for row, d in zip(rows, self.denominators, strict=True)]
        lowest = tuple(tuple(c // g for c in row) for row, g in zip(rows, divisors, strict=True))
        denominators = tuple(d // g for d, g in zip(self.denominators, divisors, strict=True))
        return SizePolynomials(tuple((degree, 0, 0) for degree in degrees), lowest, denominators)

    @cached_property
    def _matrix(self) -> Integers:
        return integers(self.coefficients).reshape(len(self.coefficients), len(self.monomials))

    @cached_property
    def _magnitudes(self) -> NDArray[np.float64]:
        return magnitudes(self._matrix)

    @cached_property
    def _fractional(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.array(self.denominators, dtype=object) != 1)

    @cached_property
    def _divisors(self) -> Integers:
        return integers([self.denominators[row] for row in self._fractional])


def monomial_value(monomial: Monomial, point: Point) -> int:
    """Return the value of a monomial at a point."""
    batch, length, *patches = point
    attended = patches[0] if patches else length
    roundings = (ROUNDING, MASK_ROUNDING, MASK_GRADIENT_ROUNDING)
    sizes = (batch, length, *(_up(attended, multiple) for multiple in roundings))
    return math.prod(size**power for size, power in zip(sizes, monomial, strict=False))


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def integers(rows: Sequence[int] | Sequence[Sequence[int]]) -> Integers:
    """Return an int64 array, or one of Python integers where a number needs more than 62 bits."""
    exact = np.array(rows, dtype=object)
    if exact.size and np.abs(exact).max() >= 2**62:
        return exact
    return exact.astype(np.int64)


def magnitudes(matrix: Integers) -> NDArray[np.float64]:
    """Return the largest absolute coefficient of every column: a bound that is cheap to evaluate."""
    if not matrix.size:
        return np.zeros(matrix.shape[-1:])
    bound: NDArray[np.float64] = np.abs(matrix).max(axis=0).astype(np.float64)
    return bound


def _product(matrix: Integers, bound: NDArray[np.float64], powers: list[int]) -> Integers:
    """Matrix times vector without overflow."""
    if matrix.dtype == object or float(bound @ np.array(powers, dtype=np.float64)) >= _SAFE:
        exact: NDArray[np.object_] = matrix.astype(object) @ np.array(powers, dtype=object)
        return exact
    product: NDArray[np.int64] = matrix @ np.array(powers, dtype=np.int64)
    return product


def _divide(values: Integers, rows: NDArray[np.intp], divisors: Integers) -> Integers:
    """Divide the rows that have a denominator; a remainder means that the size was never traced."""
    numerators = values[rows]
    if np.any(numerators % divisors):
        raise UsageError(
            "The profile is not exact at this size: a tensor would get a fractional length. "
            "Use a multiple of the recorded sizes, or profile the model at this size."
        )
    values[rows] = numerators // divisors
    return values


def size_text(batch_size: int, sequence_length: int | None) -> str:
    """Return "batch 8 × 1,024" or "batch 8"."""
    return f"batch {batch_size:,}" + ("" if sequence_length is None else f" × {sequence_length:,}")
