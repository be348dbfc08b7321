"""How numbers grow with the batch size B and the sequence length S: exact polynomials, never approximations.

A tensor's shape, a kernel's FLOPs and the bytes alive at a moment are polynomials in B and S with rational
coefficients. A few traces at different sizes determine them; the traces that are left over must be met to the last
unit, else the fit is refused. Everything is integer arithmetic.

Terms used here: a *point* is a pair (B, S) at which the model was traced (S is 1 where the model has no sequence);
a *vector* holds one number's values at all points; a *monomial* (i, j, r) stands for B**i * S**j * R**r, where R is S
rounded up to a multiple of 32: CUDA's memory-efficient attention pads the log-sum-exp that it saves to that (kAlignLSE
in torch's aten/src/ATen/native/transformers/cuda/mem_eff_attention/kernel_forward.h).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hardware_db.errors import ModelError, UsageError

Point = tuple[int, int]
Monomial = tuple[int, int, int]
Integers = NDArray[np.int64] | NDArray[np.object_]

ROUNDING = 32


def _powers(*monomials: str) -> tuple[Monomial, ...]:
    """Read monomials such as "1", "B", "BSS" and "BR"."""
    return tuple((each.count("B"), each.count("S"), each.count("R")) for each in monomials)


# Tried in this order: the plainest law that meets every trace is taken. SS stands for attention masks, BSS for its
# scores, BB for losses that compare every sample with every other, R for what attention pads.
BASES: tuple[tuple[Monomial, ...], ...] = (
    _powers("1"),
    _powers("1", "B"),
    _powers("1", "S"),
    _powers("1", "B", "S", "BS"),
    _powers("1", "S", "SS"),
    _powers("1", "B", "S", "BS", "BSS"),
    _powers("1", "B", "S", "BS", "SS", "BSS"),
    _powers("1", "R"),
    _powers("1", "S", "R"),
    _powers("1", "B", "BS", "BR"),
    _powers("1", "B", "BB"),
    _powers("1", "B", "BB", "S", "BS", "BBS"),
    _powers("1", "B", "BB", "S", "BS", "BBS", "SS", "BSS", "BBSS"),
)

# Sizes at which to trace a model so that `fit` can prove every law above that is linear in the batch: 3 batch sizes, 6
# lengths, some of them odd, that R and S differ. Batch size 1 is a case of its own: operators vanish there.
SEQUENCE_RUNS: tuple[Point, ...] = ((2, 96), (3, 65), (2, 128), (3, 131), (5, 77), (2, 192))
SINGLE_SEQUENCE_RUNS: tuple[Point, ...] = ((1, 96), (1, 65), (1, 128), (1, 131))
BATCH_RUNS = (2, 3, 5)

_SAFE = 2.0**62


class SizeDependent(ModelError):
    """The traces at different sizes follow no common law; the profile then holds for its own size only."""


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

    def at(self, batch_size: int, sequence_length: int | None) -> Integers:
        """Return the value of every polynomial: int64, or Python integers where int64 could overflow.

        Raises
        ------
        UsageError
            If a value is no integer or below 0: the model cannot have been run at this size.
        """
        powers = self.powers(batch_size, sequence_length)
        values = _product(self._matrix, self._magnitudes, powers)
        if (fractional := self._fractional).size:
            values = _divide(values, fractional, self._divisors)
        if values.size and values.min() < 0:
            raise UsageError(
                f"The model cannot run at {size_text(batch_size, sequence_length)}: a size comes out below 0"
            )
        return values

    def powers(self, batch_size: int, sequence_length: int | None) -> list[int]:
        """Return the value of every monomial."""
        point = (batch_size, 1 if sequence_length is None else sequence_length)
        return [_value(monomial, point) for monomial in self.monomials]

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


def _value(monomial: Monomial, point: Point) -> int:
    i, j, r = monomial
    batch, length = point
    padded = -(-length // ROUNDING) * ROUNDING
    return math.prod((batch,) * i + (length,) * j + (padded,) * r)


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


def fit(vectors: Sequence[tuple[int, ...]], points: Sequence[Point]) -> SizePolynomials:
    """Find the exact polynomial behind every vector of values.

    A law is accepted only if it has fewer coefficients than there are points, meets all points exactly, and if the
    points could have refuted the next higher power (p + 2 distinct sizes for power p). With a single point every
    number is a constant.

    Parameters
    ----------
    vectors
        Values of each number at all `points`.
    points
        The sizes (B, S) of the traces; S = 1 throughout where there is no sequence.

    Raises
    ------
    SizeDependent
        If some number follows none of the laws in `BASES`.
    """
    laws = [_Law.of(basis, points) for basis in BASES if _provable(basis, points)]
    solutions = [_solve(vector, laws, points) for vector in vectors]
    monomials = tuple(sorted({(0, 0, 0)}.union(*(solution.keys() for solution in solutions))))
    denominators = [math.lcm(*(value.denominator for value in solution.values())) for solution in solutions]
    coefficients = tuple(
        tuple(int(solution.get(monomial, 0) * denominator) for monomial in monomials)
        for solution, denominator in zip(solutions, denominators, strict=True)
    )
    return SizePolynomials(monomials, coefficients, tuple(denominators))


def _provable(basis: tuple[Monomial, ...], points: Sequence[Point]) -> bool:
    """Whether the points could refute the next higher power of each size, and leave one point over."""
    if basis == BASES[0]:
        return True
    sizes = ([batch for batch, _ in points], [length for _, length in points], [_value((0, 0, 1), p) for p in points])
    highest = (max(powers) for powers in zip(*basis, strict=True))
    enough = all(not power or len(set(each)) >= power + 2 for power, each in zip(highest, sizes, strict=True))
    return enough and len(basis) < len(points)


def _solve(vector: tuple[int, ...], laws: list[_Law], points: Sequence[Point]) -> dict[Monomial, Fraction]:
    for law in laws:
        solution = law.solve(vector)
        if solution is not None:
            return solution
    seen = ", ".join(f"{value:,} at {batch} × {length}" for value, (batch, length) in zip(vector, points, strict=True))
    raise SizeDependent(f"A size follows no polynomial of batch size and sequence length: {seen}")


@dataclass(frozen=True)
class _Law:
    """A basis with the inverse of its values at a full set of pivot points, over the common denominator `scale`."""

    basis: tuple[Monomial, ...]
    pivots: tuple[int, ...]
    inverse: tuple[tuple[int, ...], ...]
    scale: int
    design: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, basis: tuple[Monomial, ...], points: Sequence[Point]) -> _Law:
        design = tuple(tuple(_value(monomial, point) for monomial in basis) for point in points)
        pivots, inverse = _invert(design)
        scale = math.lcm(*(value.denominator for row in inverse for value in row), 1)
        return cls(basis, pivots, tuple(tuple(int(v * scale) for v in row) for row in inverse), scale, design)

    def solve(self, vector: tuple[int, ...]) -> dict[Monomial, Fraction] | None:
        """Return the coefficients that are not 0, or None where the law fails at any point."""
        if len(self.pivots) < len(self.basis):
            return None
        seen = [vector[pivot] for pivot in self.pivots]
        scaled = [sum(a * b for a, b in zip(row, seen, strict=True)) for row in self.inverse]
        for value, row in zip(vector, self.design, strict=True):
            if sum(a * b for a, b in zip(row, scaled, strict=True)) != value * self.scale:
                return None
        return {m: Fraction(c, self.scale) for m, c in zip(self.basis, scaled, strict=True) if c}


def _invert(design: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], list[list[Fraction]]]:
    """Gauss-Jordan: pick linearly independent rows and return their indices and the inverse of that square matrix.

    Where the points do not determine the basis, fewer indices than columns come back.
    """
    width = len(design[0])
    pivots = _independent_rows(design)
    if len(pivots) < width:
        return pivots, []
    work = [[Fraction(v) for v in design[p]] + [Fraction(i == r) for i in range(width)] for r, p in enumerate(pivots)]
    for column in range(width):
        best = next(r for r in range(column, width) if work[r][column])
        work[column], work[best] = work[best], work[column]
        lead = work[column][column]
        work[column] = [v / lead for v in work[column]]
        for row in range(width):
            if row != column and (factor := work[row][column]):
                work[row] = [v - factor * w for v, w in zip(work[row], work[column], strict=True)]
    return pivots, [row[width:] for row in work]


def _independent_rows(design: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    pivots: list[int] = []
    echelon: list[tuple[int, list[Fraction]]] = []
    for index, row in enumerate(design):
        rest = [Fraction(v) for v in row]
        for column, base in echelon:
            factor = rest[column] / base[column]
            rest = [v - factor * w for v, w in zip(rest, base, strict=True)]
        lead = next((c for c, v in enumerate(rest) if v), None)
        if lead is not None:
            echelon.append((lead, rest))
            pivots.append(index)
    return tuple(pivots)
