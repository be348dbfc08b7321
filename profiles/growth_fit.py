"""Find the exact polynomials behind traces at several sizes, or say that there are none.

A few traces determine the coefficients; the traces that are left over must be met to the last unit, else the fit is
refused. Everything is rational arithmetic. A *vector* holds one number's values at all points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain, combinations, zip_longest

from hardware_db.errors import ModelError
from profiles.growth import Monomial, Point, SizePolynomials, monomial_value


def _powers(*monomials: str) -> tuple[Monomial, ...]:
    """Read monomials such as "1", "B", "BSS", "BR" and "BSP"."""
    powers = (tuple(map(each.count, "BSRPG")) for each in monomials)
    return tuple(each[: next(n for n in (5, 4, 3) if n == 3 or each[n - 1])] for each in powers)


# Tried in this order: the plainest law that meets every trace is taken. SS stands for attention masks, BSS for its
# scores, BB for losses that compare every sample with every other, R for what attention pads, P and G for what
# its masks and their gradients are padded to.
BASES: tuple[tuple[Monomial, ...], ...] = (
    _powers("1"),
    _powers("1", "B"),
    _powers("1", "S"),
    _powers("1", "B", "S", "BS"),
    _powers("1", "S", "SS"),
    _powers("1", "B", "S", "BS", "BSS"),
    _powers("1", "B", "S", "BS", "SS", "BSS"),
    _powers("SS", "BSS"),
    _powers("1", "BS", "SS"),
    _powers("1", "BS", "BSS"),
    _powers("B", "BS", "BSS"),
    _powers("BS", "SS", "BSS"),
    _powers("1", "R"),
    _powers("1", "S", "R"),
    _powers("1", "B", "BS", "BR"),
    _powers("1", "BS", "BR", "SS"),
    _powers("1", "S", "R", "SS"),
    _powers("1", "B", "S", "BS", "P", "BP", "BG"),
    _powers("1", "S", "R", "SS", "SG"),
    _powers("1", "S", "R", "SS", "SP", "SG"),
    _powers("1", "B", "S", "BS", "SS", "BSS", "BR"),
    _powers("1", "B", "S", "BS", "SS", "BSS", "BR", "BSG"),
    _powers("1", "B", "S", "BS", "SS", "BSS", "BR", "SP", "BSP"),
    _powers("BS", "SS", "BSS", "BR", "SP", "BSP", "BSG"),
    _powers("1", "B", "BB"),
    _powers("1", "B", "BB", "S", "BS", "BBS"),
    _powers("1", "B", "BB", "S", "BS", "BBS", "SS", "BSS", "BBSS"),
)

# For images, where S is a side: areas are SS, what attention does with its patches SSSS. R is what it pads.
IMAGE_BASES: tuple[tuple[Monomial, ...], ...] = (
    _powers("1"),
    _powers("1", "B"),
    _powers("1", "S"),
    _powers("1", "SS"),
    _powers("1", "S", "SS"),
    _powers("1", "B", "SS", "BSS"),
    _powers("1", "B", "S", "BS", "SS", "BSS"),
    _powers("1", "SS", "SSSS"),
    _powers("1", "B", "SS", "BSS", "SSSS", "BSSSS"),
    _powers("1", "R"),
    _powers("1", "SS", "R"),
    _powers("1", "SS", "SSSS", "R"),
    _powers("1", "B", "BR"),
    _powers("1", "B", "SS", "BSS", "BR"),
    _powers("1", "B", "SS", "BSS", "SSSS", "BSSSS", "BR"),
)

# What is left is sought among these, a few at a time, where enough lengths were traced to tell them apart: sums of
# sizes that masks, their gradients and what attention saves are padded to.
_PADDED = _powers("1", "B", "S", "BS", "SS", "BSS", "R", "BR", "P", "BP", "SP", "BSP", "SG", "BSG")
_MOST_TERMS = {True: 4, False: 3}
_LEAST_LENGTHS = 6

# Sizes at which to trace a model so that `fit` can prove every law above that is linear in the batch: 3 batch sizes, 6
# lengths, some of them odd, that R and S differ. Batch size 1 is a case of its own: operators vanish there.
SEQUENCE_RUNS: tuple[Point, ...] = ((2, 96), (3, 65), (2, 128), (3, 131), (5, 77), (2, 192))
SINGLE_SEQUENCE_RUNS: tuple[Point, ...] = ((1, 96), (1, 65), (1, 128), (1, 131))
BATCH_RUNS = (2, 3, 5)


class SizeDependent(ModelError):
    """The traces at different sizes follow no common law; the profile then holds for its own size only."""


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
        The sizes (B, S) of the traces; S = 1 throughout where there is no sequence. (B, S, patches) for images.

    Raises
    ------
    SizeDependent
        If some number follows none of the laws in `BASES`, or in `IMAGE_BASES` for images.
    """
    laws = _laws(tuple(points))
    solutions = [_solve(vector, laws, points) for vector in vectors]
    monomials = tuple(sorted({(0, 0, 0)}.union(*(solution.keys() for solution in solutions))))
    denominators = [math.lcm(*(value.denominator for value in solution.values())) for solution in solutions]
    coefficients = tuple(
        tuple(int(solution.get(monomial, 0) * denominator) for monomial in monomials)
        for solution, denominator in zip(solutions, denominators, strict=True)
    )
    return SizePolynomials(monomials, coefficients, tuple(denominators))


@lru_cache(maxsize=8)
def _padded_laws(points: tuple[Point, ...]) -> tuple[_Law, ...]:
    """Return the laws of few padded sizes that runs at these points can prove, plainer ones first."""
    if len(points[0]) > 2 or len({length for _, length in points}) < _LEAST_LENGTHS:
        return ()
    alone = all(batch == 1 for batch, _ in points)
    pool = [monomial for monomial in _PADDED if not (alone and monomial[0])]
    bases = (basis for terms in range(1, _MOST_TERMS[alone] + 1) for basis in combinations(pool, terms))
    laws = (_Law.of(basis, points) for basis in bases if _provable(basis, points))
    return tuple(law for law in laws if len(law.pivots) == len(law.basis))


@lru_cache(maxsize=64)
def _laws(points: tuple[Point, ...]) -> tuple[_Law, ...]:
    """Return the laws that runs at these points can prove."""
    bases = BASES if len(points[0]) == 2 else IMAGE_BASES
    laws = (_Law.of(basis, points) for basis in bases if _provable(basis, points))
    return tuple(law for law in laws if len(law.pivots) == len(law.basis))


def _provable(basis: tuple[Monomial, ...], points: Sequence[Point]) -> bool:
    """Whether the points could refute the next higher power of each size, and leave one point over."""
    if basis == BASES[0]:
        return True
    sizes = (
        [point[0] for point in points],
        [point[1] for point in points],
        [monomial_value((0, 0, 1), point) for point in points],
        [monomial_value((0, 0, 0, 1), point) for point in points],
        [monomial_value((0, 0, 0, 0, 1), point) for point in points],
    )
    highest = (max(powers) for powers in zip_longest(*basis, fillvalue=0))
    enough = all(not power or len(set(each)) >= power + 2 for power, each in zip(highest, sizes, strict=False))
    return enough and len(basis) < len(points)


def _solve(vector: tuple[int, ...], laws: Sequence[_Law], points: Sequence[Point]) -> dict[Monomial, Fraction]:
    for law in chain(laws, _later(points)):
        solution = law.solve(vector)
        if solution is not None:
            return solution
    seen = ", ".join(f"{value:,} at {point[0]} × {point[1]}" for value, point in zip(vector, points, strict=True))
    other = "sequence length" if len(points[0]) == 2 else "image size"
    raise SizeDependent(f"A size follows no polynomial of batch size and {other}: {seen}")


def _later(points: Sequence[Point]) -> Iterator[_Law]:
    """The padded laws, made when the others have failed."""
    yield from _padded_laws(tuple(points))


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
        design = tuple(tuple(monomial_value(monomial, point) for monomial in basis) for point in points)
        pivots, inverse = _invert(design)
        scale = math.lcm(*(value.denominator for row in inverse for value in row), 1)
        return cls(basis, pivots, tuple(tuple(int(v * scale) for v in row) for row in inverse), scale, design)

    def solve(self, vector: tuple[int, ...]) -> dict[Monomial, Fraction] | None:
        """Return the coefficients that are not 0, or None where the law fails at any point."""
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
