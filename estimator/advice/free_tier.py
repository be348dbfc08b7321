"""Free tiers and notebook services: sessions and quotas turned into calendar days, or "cannot finish"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from estimator.answer import Answer, Cluster, answer
from estimator.cost import fabric_of
from estimator.whole_run import NEVER
from estimator.whole_run.assumptions import assumption
from estimator.whole_run.run_time import whole_run_time
from hardware_db.errors import UsageError
from hardware_db.market import FreeTier, free_tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimator.ranges import Range
    from estimator.workload import Workload
    from hardware_db import Database

DAY_S: Final = 86400.0
HOUR_S: Final = 3600.0
DAYS_PER_WEEK: Final = 7
SESSIONS_PER_DAY: Final = 1
"""Where a service states no quota: one session a day is what its users get (an assumption; Colab states nothing)."""

PATIENCE_DAYS: Final = 365.0
"""A free run that takes longer is called impossible."""


@dataclass(frozen=True, slots=True)
class FreePlan:
    """A run on a free tier.

    Attributes
    ----------
    tier
        the service and what it lends
    run_time
        seconds in sessions, None where it cannot run there
    sessions
        sessions of the longest length, each starting anew
    calendar_days
        from the first session to the end of the last
    why_not
        why it cannot finish; "" where it can
    """

    tier: FreeTier
    run_time: Range | None
    sessions: int | None
    calendar_days: float | None
    why_not: str

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "service": self.tier.service,
            "plan": self.tier.plan,
            "device": self.tier.device,
            "count": self.tier.device_count,
            "run_time_s": self.run_time.mid if self.run_time else None,
            "sessions": self.sessions,
            "calendar_days": self.calendar_days,
            "why_not": self.why_not,
        }


def free_plans(works: Sequence[Workload], database: Database) -> tuple[FreePlan, ...]:
    """Return what a run takes on every free tier, the shortest in calendar days first."""
    plans = [_plan(works, database, tier) for tier in free_tiers() if tier.usd_per_hour == 0]
    return tuple(sorted(plans, key=lambda plan: (plan.why_not != "", plan.calendar_days or math.inf)))


def _plan(works: Sequence[Workload], database: Database, tier: FreeTier) -> FreePlan:
    device = database.device(tier.device)
    work = next((each for each in works if device.supports(each.run.precision)), works[-1])
    try:
        found = answer(work, database, Cluster(device, tier.device_count, fabric_of(device, None, None)))
    except UsageError as error:
        return FreePlan(tier, None, None, None, f"cannot run: {str(error).splitlines()[0]}")
    if found.step is None:
        reason = found.why_not.text.splitlines()[0] if found.why_not else "unknown"
        return FreePlan(tier, None, None, None, f"cannot run: {reason}")
    plan = in_sessions(tier, _run_time(work, found))
    overheads = work.run.overheads
    if (plan.sessions or 1) > 1 and overheads is not None and overheads.checkpoint_every_s == NEVER:
        lost = f"cannot finish: a session ends after {tier.session_limit_h:g} h and nothing is saved"
        return FreePlan(tier, plan.run_time, None, None, lost)
    return plan


def _run_time(work: Workload, found: Answer) -> Range:
    return whole_run_time(work.run, found, None).total


def in_sessions(tier: FreeTier, run_time: Range) -> FreePlan:
    """Return how a run is spread over the sessions of a tier.

    Each session after the first starts anew; a week has the tier's quota, or one session a day where none is stated.
    """
    if tier.session_limit_h is None:
        return FreePlan(tier, run_time, 1, run_time.mid / DAY_S, "")
    useful = tier.session_limit_h * HOUR_S - assumption("startup").range.mid
    sessions = max(1, math.ceil(run_time.mid / useful))
    if sessions == 1:
        return FreePlan(tier, run_time, 1, run_time.mid / DAY_S, "")
    days = _calendar_days(tier, sessions, run_time.mid, useful)
    late = "" if days <= PATIENCE_DAYS else f"cannot finish: {days / PATIENCE_DAYS:,.1f} years of sessions"
    return FreePlan(tier, run_time, sessions, days, late)


def _calendar_days(tier: FreeTier, sessions: int, run_time_s: float, useful_s: float) -> float:
    if tier.weekly_quota_h is None:
        return sessions / SESSIONS_PER_DAY
    paid_s = run_time_s + (sessions - 1) * assumption("startup").range.mid
    weeks, rest = divmod(paid_s, tier.weekly_quota_h * HOUR_S)
    return weeks * DAYS_PER_WEEK + math.ceil(rest / useful_s) / SESSIONS_PER_DAY
