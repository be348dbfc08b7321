"""Where to carry out a plan: the cheapest devices on which the whole of it keeps its limits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimator.advice.advise import SAFE
from estimator.advice.chance import below
from estimator.campaign.plan import Campaign, Plan, campaign_of

if TYPE_CHECKING:
    from estimator.result import Estimate


@dataclass(frozen=True, slots=True)
class Limits:
    """What the whole plan may cost [USD], and how long search and final runs may take [s]; None: no limit."""

    budget_usd: float | None = None
    deadline_s: float | None = None

    def kept(self, found: Campaign) -> float:
        """Return how likely a plan keeps the limit that it keeps least likely; 0 where it has no price."""
        cost, budget, deadline = found.total_usd, self.budget_usd, self.deadline_s
        affordable = 1.0 if budget is None else (0.0 if cost is None else below(cost, budget))
        return min(affordable, 1.0 if deadline is None else below(found.wall_s, deadline))

    def exceeded(self, found: Campaign) -> float:
        """Return how many times the limit that is exceeded most the plan takes; infinite where it has no price."""
        usd = found.total_usd.mid if found.total_usd else math.inf
        taken = [(usd, self.budget_usd), (found.wall_s.mid, self.deadline_s)]
        return max((mid / limit if limit else math.inf for mid, limit in taken if limit is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan on devices, and how likely it keeps its limits; `safe`: in at least 80 % of cases."""

    row: Estimate
    campaign: Campaign
    kept: float

    @property
    def safe(self) -> bool:
        """Whether the limits are kept as surely as advice asks for."""
        return self.kept >= SAFE


def choose(rows: Iterable[Estimate], plan: Plan, limits: Limits) -> Choice | None:
    """Return the cheapest plan that keeps the limits, else the one that exceeds them least; None where none runs.

    Parameters
    ----------
    rows
        estimates of one run; those without a time are left out
    """
    found = [(row, campaign_of(row, plan)) for row in rows if row.run_time is not None]
    choices = [Choice(row, campaign, limits.kept(campaign)) for row, campaign in found]
    return min(choices, key=lambda choice: _preference(choice, limits), default=None)


def _preference(choice: Choice, limits: Limits) -> tuple[bool, float, float, float]:
    found = choice.campaign
    cost = found.total_usd.mid if found.total_usd else math.inf
    return not choice.safe, 0.0 if choice.safe else limits.exceeded(found), cost, found.wall_s.mid
