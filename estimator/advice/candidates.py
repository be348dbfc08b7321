"""Ways to run it as columns of numbers; only what is looked at becomes an `Estimate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimator.cost import rent
from estimator.pricing import priced

if TYPE_CHECKING:
    from estimator.advice.wishes import Wishes
    from estimator.answer import Answer
    from estimator.result import Estimate
    from estimator.workload import Workload
    from hardware_db import Offer

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One way to run it: the work in one precision, what its devices make of it, and the offer that is rented."""

    work: Workload
    found: Answer
    offer: Offer

    def estimate(self) -> Estimate:
        """Return it with every part of time and cost."""
        return priced(self.work, self.found, rent(self.offer, self.found.count))


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One answer on many offers: columns are (n, 9), seconds, dollars, kilograms, each low, mid, high."""

    work: Workload
    found: Answer
    offers: Sequence[Offer]
    columns: Floats


class Places(Sequence[Place]):
    """All offers of all answers as one list, each `Place` made when it is asked for."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        self._ends = np.cumsum([len(block.offers) for block in blocks], dtype=np.intp)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, place: int) -> Place:  # type: ignore[override]  # nobody takes a slice of it
        if not 0 <= place < len(self):
            raise IndexError(place)
        at = int(np.searchsorted(self._ends, place, side="right"))
        block = self.blocks[at]
        return Place(block.work, block.found, block.offers[place - int(self._ends[at])])


@dataclass(frozen=True, eq=False)
class Candidates:
    """Ways to run it, n of them; columns are (n, 3): low, mid, high. Emissions are NaN where the power is unknown."""

    places: Places
    time_s: Floats
    cost_usd: Floats
    co2_kg: Floats
    unanswered: tuple[Answer, ...]

    @classmethod
    def of(cls, blocks: Sequence[Block], unanswered: tuple[Answer, ...]) -> Candidates:
        """Put blocks below each other."""
        table = np.vstack([block.columns for block in blocks]) if blocks else np.empty((0, 9))
        return cls(Places(blocks), table[:, :3], table[:, 3:6], table[:, 6:], unanswered)

    def __len__(self) -> int:
        return len(self.places)

    def within(self, wishes: Wishes, end: int = 1) -> NDArray[np.bool_]:
        """Return which keep all limits with the low (0), middle (1) or high (2) end of their ranges."""
        kept = np.ones(len(self), dtype=bool)
        columns = {"budget_usd": self.cost_usd, "deadline_s": self.time_s, "max_co2_kg": self.co2_kg}
        for name, limit in wishes.limits.items():
            kept &= columns[name][:, end] <= limit
        return kept

    def frontier(self) -> NDArray[np.intp]:
        """Return which no other beats in time, cost and emissions at once; unknown emissions count as most."""
        points = np.column_stack([self.time_s[:, 1], self.cost_usd[:, 1], np.nan_to_num(self.co2_kg[:, 1], nan=np.inf)])
        return pareto(points)


def pareto(points: Floats) -> NDArray[np.intp]:
    """Return the rows of (n, 3) that no other row is at most equal to in every column and below in one.

    In order of the first column the first row that is left is beaten by none; what it beats, and its equals, go.

    Examples
    --------
    >>> pareto(np.array([[1.0, 5, 5], [2, 4, 6], [3, 4, 6], [2, 6, 6]])).tolist()
    [0, 1]
    """
    left = np.lexsort((points[:, 2], points[:, 1], points[:, 0]))
    kept: list[int] = []
    while len(left):
        kept.append(int(left[0]))
        left = left[(points[left, 1] < points[left[0], 1]) | (points[left, 2] < points[left[0], 2])]
    return np.array(kept, dtype=np.intp)
