"""The bytes alive on the device at every moment of a step, and the largest of these moments for any size.

The peak of a step is a maximum of polynomials, so fitting the peak itself would be wrong: every moment is kept as a
polynomial and the largest is sought anew for every batch size and sequence length. A moment whose total is, coefficient
by coefficient, no larger than another's can never be the peak and is not a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from operator import attrgetter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from profiles.growth import Integers, Point, SizePolynomials, integers
from profiles.growth_fit import SizeDependent, fit
from profiles.layers import fold_paths, layer_count
from profiles.records import MemoryFootprint, Phase

HOLDERS = (
    "parameter_bytes",
    "buffer_bytes",
    "gradient_bytes",
    "optimizer_state_bytes",
    "input_bytes",
    "activation_bytes",
)
MOST_MOMENTS = 2000


@dataclass(frozen=True, slots=True)
class LiveBytes:
    """One moment of a step: the bytes alive, by what holds them, and where the step was then."""

    phase: Phase
    module: str
    parameter_bytes: int
    buffer_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    input_bytes: int
    activation_bytes: int

    @property
    def total_bytes(self) -> int:
        """All holders together."""
        return (
            self.parameter_bytes
            + self.buffer_bytes
            + self.gradient_bytes
            + self.optimizer_state_bytes
            + self.input_bytes
            + self.activation_bytes
        )


@dataclass(frozen=True, eq=False)
class LiveTable:
    """The live bytes of one run as arrays.

    places   phase and module of every moment
    live     bytes at every moment, one column for each of `HOLDERS`
    """

    places: tuple[tuple[Phase, str], ...]
    live: Integers

    @classmethod
    def of(cls, timeline: Sequence[LiveBytes] | LiveTable) -> LiveTable:
        """Make the arrays, where they are none yet."""
        if isinstance(timeline, LiveTable):
            return timeline
        holders = attrgetter(*HOLDERS)
        live = np.array([holders(moment) for moment in timeline], dtype=np.int64).reshape(-1, len(HOLDERS))
        return cls(tuple((moment.phase, moment.module) for moment in timeline), live)

    def __iter__(self) -> Iterator[LiveBytes]:
        for (phase, module), live in zip(self.places, self.live.tolist(), strict=True):
            yield LiveBytes(phase, module, *live)

    def same_as(self, other: LiveTable) -> bool:
        """Whether both show the same bytes at the same places."""
        return self.places == other.places and np.array_equal(self.live, other.live)


@dataclass(frozen=True)
class Timeline:
    """The live bytes of a step as polynomials.

    moments      (position in the step, phase, module, rows of `sizes` in the order of `HOLDERS`); at most about
                 `MOST_MOMENTS` for the picture, local maxima among them, and every candidate for the peak
    sizes        the polynomials that the moments point to
    keepers      folded module paths
    kept         one polynomial for each of `keepers`: the activation bytes that ALL modules of that path together keep
                 from the forward for the backward pass; none where this was not recorded
    """

    moments: tuple[tuple[int, Phase, str, tuple[int, ...]], ...]
    sizes: SizePolynomials
    keepers: tuple[str, ...]
    kept: SizePolynomials

    def at(self, batch_size: int, sequence_length: int | None) -> tuple[LiveBytes, ...]:
        """Return the moments kept, in order."""
        return tuple(self.table(batch_size, sequence_length))

    def table(self, batch_size: int, sequence_length: int | None) -> LiveTable:
        """Return the same as arrays, which takes a hundredth of the time."""
        return LiveTable(self._places, self.sizes.at(batch_size, sequence_length)[self._rows])

    def peak(self, batch_size: int, sequence_length: int | None) -> MemoryFootprint | None:
        """Return the first of the moments with the most live bytes; None if none was recorded."""
        if not self.moments:
            return None
        live = self.sizes.at(batch_size, sequence_length)[self._rows]
        highest = int(live.sum(axis=1).argmax())
        _, phase, module, _ = self.moments[highest]
        holders = dict(zip(HOLDERS, map(int, live[highest]), strict=True))
        return MemoryFootprint(**holders, peak_phase=phase, peak_module=module)

    def activation_bytes(self, batch_size: int, sequence_length: int | None) -> dict[str, int]:
        """Return what the modules of each folded path keep for the backward pass; empty if it was not recorded."""
        values = self.kept.at(batch_size, sequence_length).tolist()
        return dict(zip(self.keepers, values, strict=True))

    def pinned(self, sequence_length: int, patches: int) -> Timeline:
        """Return the timeline in the batch size alone that is left where the other size is known."""
        sizes, kept = (each.pinned(sequence_length, patches) for each in (self.sizes, self.kept))
        return Timeline(self.moments, sizes, self.keepers, kept)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        return np.array([rows for *_, rows in self.moments], dtype=np.intp).reshape(-1, len(HOLDERS))

    @cached_property
    def _places(self) -> tuple[tuple[Phase, str], ...]:
        return tuple((phase, module) for _, phase, module, _ in self.moments)


def fit_timeline(
    timelines: Sequence[Sequence[LiveBytes] | LiveTable], kept: Sequence[Mapping[str, int]], points: Sequence[Point]
) -> Timeline:
    """Fit every moment of the same step seen at several sizes.

    Changes between moments are fitted, not the moments: there are few distinct changes, and sums of exact polynomials
    are exact.

    Raises
    ------
    SizeDependent
        If the steps differ in their moments, or a change follows no polynomial.
    """
    tables = [LiveTable.of(timeline) for timeline in timelines]
    places = _common_places(tables, points)
    law, rows = _fit_changes(tables, points)
    scale = lcm(*law.denominators, 1)
    scaled = integers(
        [[c * (scale // d) for c in cs] for cs, d in zip(law.coefficients, law.denominators, strict=True)]
    )
    changes = scaled.reshape(-1, len(law.monomials))[rows]
    live = _running_sum(changes)
    chosen = _choose(live.sum(axis=1), law.powers(*points[0]))
    table = SizePolynomials.reduced(law.monomials, live[chosen].reshape(-1, len(law.monomials)).tolist(), scale)
    sizes, numbers = table.distinct()
    where = np.array(numbers, dtype=np.intp).reshape(-1, len(HOLDERS)).tolist()
    return Timeline(
        tuple((at, *places[at], tuple(each)) for at, each in zip(chosen.tolist(), where, strict=True)),
        sizes,
        *fit_kept(kept, points),
    )


def _common_places(tables: Sequence[LiveTable], points: Sequence[Point]) -> tuple[tuple[Phase, str], ...]:
    places = tables[0].places
    for other, (batch, length, *_) in zip(tables[1:], points[1:], strict=True):
        if other.places is not places and other.places != places:
            raise SizeDependent(f"Allocations come in another order at batch {batch} × {length} than at the first size")
    return places


def _fit_changes(tables: Sequence[LiveTable], points: Sequence[Point]) -> tuple[SizePolynomials, NDArray[np.intp]]:
    """Return the polynomials of all distinct changes and, for every moment and holder, which one applies."""
    seen = np.stack([table.live for table in tables])
    changes = np.diff(seen, axis=1, prepend=0).reshape(len(tables), -1).T
    moving = np.flatnonzero(changes.any(axis=1))
    distinct, inverse = np.unique(changes[moving], axis=0, return_inverse=True)
    vectors = [(0,) * len(tables), *map(tuple, distinct.tolist())]
    rows = np.zeros(len(changes), dtype=np.intp)
    rows[moving] = inverse.reshape(-1) + 1
    return fit(vectors, points), rows.reshape(-1, len(HOLDERS))


def _running_sum(changes: Integers) -> Integers:
    if changes.size and np.abs(changes.astype(np.float64)).sum() >= 2.0**62:
        changes = changes.astype(object)
    return cast("Integers", np.cumsum(changes, axis=0))


def _choose(totals: Integers, powers: list[int]) -> NDArray[np.intp]:
    """Pick the moments to keep: candidates for the peak, and highest and lowest of each stretch for the picture."""
    if not len(totals):
        return np.zeros(0, dtype=np.intp)
    seen = totals.astype(np.float64) @ np.array(powers, dtype=np.float64)
    stretches = np.array_split(np.arange(len(seen)), min(len(seen), MOST_MOMENTS // 2))
    extremes = [stretch[pick(seen[stretch])] for stretch in stretches for pick in (np.argmax, np.argmin)]
    return np.unique(np.concatenate([_undominated(totals), np.array(extremes, dtype=np.intp), [0, len(seen) - 1]]))


def _undominated(totals: Integers) -> NDArray[np.intp]:
    """Return the moments whose total no other moment reaches in every coefficient; of equal ones the first."""
    order = np.argsort(-totals.astype(np.float64).sum(axis=1), kind="stable")
    columns = [np.ascontiguousarray(column) for column in totals[order].T]
    standing, found = np.ones(len(totals), dtype=np.bool_), []
    for at, moment in enumerate(order.tolist()):
        if standing[at]:
            found.append(moment)
            standing[at:] &= np.logical_or.reduce([column[at:] > column[at] for column in columns])
    return np.array(sorted(found), dtype=np.intp)


def fit_kept(kept: Sequence[Mapping[str, int]], points: Sequence[Point]) -> tuple[tuple[str, ...], SizePolynomials]:
    """Fit what each module keeps from the forward for the backward pass and fold equal modules.

    Raises
    ------
    SizeDependent
        If not the same modules keep something at every size, or the bytes follow no polynomial.
    """
    modules = [module for module, size in kept[0].items() if size]
    for other, (batch, length, *_) in zip(kept[1:], points[1:], strict=True):
        if {module for module, size in other.items() if size} != set(modules):
            raise SizeDependent(f"Other modules keep activations at batch {batch} × {length} than at the first size")
    folded = fold_paths({module: tuple(each[module] for each in kept) for module in modules})
    vectors = [tuple(layer_count(path) * size for size in vector) for path, vector in folded]
    return tuple(path for path, _ in folded), fit(vectors, points)
