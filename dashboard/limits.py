"""Budget and deadline: which options keep to them, and which comes nearest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from estimator.estimates import Estimates
from estimator.result import Estimate
from hardware_db.units import format_duration, format_usd


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a run may cost and take; None: no limit."""

    budget_usd: float | None = None
    deadline_s: float | None = None

    def __bool__(self) -> bool:
        return self.budget_usd is not None or self.deadline_s is not None

    def __str__(self) -> str:
        told = [] if self.budget_usd is None else [format_usd(self.budget_usd)]
        told += [] if self.deadline_s is None else [format_duration(self.deadline_s)]
        return " and ".join(told)

    def excess(self, row: Estimate) -> float:
        """Return how far a row is over the limits: 1 keeps exactly to them, 3 is three times over one of them.

        A row without a price is over every budget.
        """
        cost = float("inf") if row.cost_usd is None else row.cost_usd
        over = [] if self.budget_usd is None else [cost / self.budget_usd]
        over += [] if self.deadline_s is None else [(row.run_time_s or 0.0) / self.deadline_s]
        return max(over, default=0.0)

    def keeping(self, found: Estimates) -> Estimates:
        """Return the answered rows that keep to the limits."""
        return replace(found, rows=tuple(row for row in found.answered if self.excess(row) <= 1))

    def nearest(self, found: Estimates) -> Estimate | None:
        """Return the answered row that is over by the least."""
        return min(found.answered, key=self.excess, default=None)

    def over(self, row: Estimate) -> str:
        """Return in words what a row exceeds: "3.1× the budget"."""
        words = []
        if self.budget_usd is not None and row.cost_usd is not None and row.cost_usd > self.budget_usd:
            words.append(f"{row.cost_usd / self.budget_usd:.3g}× the budget")
        if self.deadline_s is not None and row.run_time_s is not None and row.run_time_s > self.deadline_s:
            words.append(f"{row.run_time_s / self.deadline_s:.3g}× the deadline")
        return " and ".join(words)
