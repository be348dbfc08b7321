"""From one run to a plan of runs: search, then the best with several seeds, failed runs, retraining for its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from estimator.campaign.search import Search, Trials, trials_of
from estimator.ranges import ZERO, Range
from estimator.whole_run.bill import bill_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.cost import Rental
    from estimator.result import Estimate
    from estimator.whole_run.overheads import Overheads

WEEKS_PER_MONTH: Final = 365.25 / 12 / 7
EVERY: Final = {"week": WEEKS_PER_MONTH, "month": 1.0, "quarter": 1 / 3}
"""How often a month the model is trained anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned.

    Attributes
    ----------
    search
        the search before; None: the settings are known
    parallel
        trials side by side, each on the devices of the run
    seeds
        runs of the settings that are kept
    failed_share
        of all runs, how many are thrown away and done again (diverged, wrong settings)
    retrain_every
        "week", "month" or "quarter"; None: never
    retrain_share
        of a whole run, what a retraining is: 1 full, 0.1 a fine-tuning of a tenth
    months
        for how long it is retrained
    """

    search: Search | None = None
    parallel: int = 1
    seeds: int = 1
    failed_share: float = 0.0
    retrain_every: str | None = None
    retrain_share: float = 1.0
    months: float = 12.0

    def __post_init__(self) -> None:
        if self.parallel < 1 or self.seeds < 1:
            raise UsageError(f"parallel and seeds must be 1 or more; given: {self.parallel}, {self.seeds}")
        if not 0 <= self.failed_share < 1:
            raise UsageError(f"failed_share must be 0 or more and below 1; given: {self.failed_share:g}")
        if self.retrain_every is not None and self.retrain_every not in EVERY:
            raise UsageError(f"retrain_every {self.retrain_every!r} is unknown. Use one of: {', '.join(EVERY)}")
        if not (0 < self.retrain_share <= 1 and self.months > 0):
            raise UsageError("retrain_share must be above 0 and at most 1, months above 0")


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the plan: runs started, wall-clock seconds, device-hours, dollars (None without an offer)."""

    name: str
    started: float
    wall_s: Range
    device_hours: Range
    cost_usd: Range | None
    how: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """The stages of a plan on one choice of devices; retraining comes after, for months, and is told apart."""

    plan: Plan
    stages: tuple[Stage, ...] = field(default=())

    @property
    def total_usd(self) -> Range | None:
        """Dollars of all stages; None where one has no price."""
        costs = [stage.cost_usd for stage in self.stages]
        return None if any(each is None for each in costs) else sum((each for each in costs if each), ZERO)

    @property
    def wall_s(self) -> Range:
        """Wall clock of search and final runs one after the other [s]; retraining comes later, for months."""
        return sum((stage.wall_s for stage in self.stages if stage.name != "retraining"), ZERO)

    @property
    def device_hours(self) -> Range:
        """Device-hours of all stages."""
        return sum((stage.device_hours for stage in self.stages), ZERO)

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {"stages": list(self.stages), "wall_s": self.wall_s, "device_hours": self.device_hours,
                "cost_usd": self.total_usd}  # fmt: skip


def campaign_of(row: Estimate, plan: Plan) -> Campaign:
    """Return the time, device-hours and dollars of a plan, one run of which is estimated in `row`.

    Start-up and provisioning are paid by every run that is started, training by the share of a run that it does.

    Raises
    ------
    UsageError
        the run has no time
    """
    if row.whole is None or row.run_time is None:
        raise UsageError(f"{row.device.id} cannot run it: {row.why_not}")
    stages = []
    if plan.search is not None:
        found = trials_of(plan.search)
        how = f"{plan.search.method}, {found.started} trials, {found.runs:.3g} whole runs"
        stages.append(_stage(row, plan, "search", found, how))
    seeds = Trials(((plan.seeds, 1.0),), plan.seeds)
    stages.append(_stage(row, plan, "final", seeds, f"{plan.seeds} seed{'s' * (plan.seeds > 1)}"))
    if plan.retrain_every is not None:
        times = round(EVERY[plan.retrain_every] * plan.months)
        again = Trials(((times, plan.retrain_share),), times)
        how = f"every {plan.retrain_every} for {plan.months:g} months, {plan.retrain_share:.0%} of a run each"
        stages.append(_stage(row, plan, "retraining", again, how))
    return Campaign(plan, tuple(stages))


def _stage(row: Estimate, plan: Plan, name: str, trials: Trials, how: str) -> Stage:
    assert row.whole is not None
    again = 1 / (1 - plan.failed_share)
    fixed = sum((row.whole.seconds(part) for part in ("provisioning", "start-up", "compilation")), ZERO)
    rest = Range(*(getattr(row.whole.total, end) - getattr(fixed, end) for end in ("low", "mid", "high")))
    side = 1 if name == "retraining" else plan.parallel
    rounds = sum(-(-count // side) for count, _ in trials.rungs)
    starts = sum(count for count, _ in trials.rungs)
    wall = (rest * trials.wall_runs(side) + fixed * rounds) * again
    paid = (rest * trials.runs + fixed * starts) * again
    usd = None
    if row.rental is not None:
        runs = [(count, rest * share + fixed) for count, share in trials.rungs]
        sent = 0 if name == "search" else trials.started
        usd = _usd(row.rental, runs, wall, (row.run.overheads, sent)) * again
    return Stage(
        name=name,
        started=trials.started * again,
        wall_s=wall,
        device_hours=paid * (row.count / 3600),
        cost_usd=usd,
        how=how + (f", {plan.failed_share:.0%} done again" if plan.failed_share else ""),
    )


def _usd(rental: Rental, runs: list[tuple[int, Range]], wall: Range, kept: tuple[Overheads | None, int]) -> Range:
    """Return the bill of (how many, seconds of each) runs: each by the provider's clock.

    What is stored lies there once while they last; what leaves the network does so once for each model that is kept.
    """
    overheads, sent = kept
    machines = sum((bill_of(rental, seconds, None).total * count for count, seconds in runs), ZERO)
    others = {each.name: each.usd for each in bill_of(rental, wall, overheads).charges}
    return machines + others.get("storage", ZERO) + others.get("egress", ZERO) * sent
