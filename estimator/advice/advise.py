"""The advice: the way to run it that keeps the limits most surely and cheaply, and what is beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import hardware_db
from estimator.advice.candidates import Candidates
from estimator.advice.chance import less
from estimator.advice.changes import savings_of
from estimator.advice.free_tier import free_plans
from estimator.advice.market import COUNTS, MORE_COUNTS, Market
from estimator.advice.result import Advice, Neighbour, Option
from estimator.advice.wishes import Wishes
from estimator.forecast import estimate
from estimator.workload import Workload
from hardware_db.errors import NoPrice
from hardware_db.units import format_duration, format_usd

if TYPE_CHECKING:
    from estimator.result import Estimate
    from estimator.run import TrainingRun
    from hardware_db import Database

SAFE: Final = 0.8
"""A recommendation keeps each limit in so many cases, where any does; ranges hold as many."""

LOOKED_AT: Final = 40
"""Of the options that keep the limits, the cheapest are looked at one by one."""

LAPTOP: Final = "core-i7-12700h"
"""A usual laptop's processor."""


def advise(
    run: TrainingRun | Sequence[TrainingRun],
    wishes: Wishes | None = None,
    *,
    database: Database | None = None,
    **limits: Any,
) -> Advice:
    """Recommend where to run it.

    Parameters
    ----------
    run
        a run, or several of the same work in order of preference of precision
    wishes
        limits and places; or give its fields by name (`budget_usd=500, deadline_s=172800`)
    database
        the hardware database; default the published one

    Raises
    ------
    NoPrice
        nobody offers what the wishes leave
    UsageError
        a limit that is not above zero, an unknown framework
    UnknownDevice
        no device, or several, have a name that was given

    Examples
    --------
    >>> advice = advise(run, budget_usd=500, deadline_s=2 * 86400)
    >>> advice.best.row.cost_usd <= 500, advice.sentence.startswith("Rent")
    (True, True)
    """
    wishes = wishes or Wishes(**limits)
    database = database or hardware_db.load()
    runs = tuple(run) if isinstance(run, Sequence) else (run,)
    market = Market(tuple(Workload(each) for each in runs), database, wishes)
    found = _candidates(market)
    return _advice(market, runs, found)


def _candidates(market: Market) -> Candidates:
    """Return all ways to run it; with more devices where no machine is in time."""
    found = market.candidates()
    if not len(found) and not market.unanswered:
        raise NoPrice(f"No {_asked(market.wishes)}. Every device: flopcast hardware")
    if market.wishes.counts is None and not found.within(market.wishes).any():
        market.unanswered.clear()
        market.outdone.clear()
        found = market.candidates((*COUNTS, *MORE_COUNTS))
    return found


def _asked(wishes: Wishes) -> str:
    of = f" of {wishes.provider}" if wishes.provider else ""
    where = f" in {wishes.region}" if wishes.region else ""
    named = f" for {wishes.devices}" if wishes.devices else ""
    trained = f" that {wishes.framework} trains on" if wishes.framework else ""
    return f"offer{of}{where}{named}{trained}"


def _advice(market: Market, runs: tuple[TrainingRun, ...], found: Candidates) -> Advice:
    wishes, options = market.wishes, _Options(found, market.wishes)
    frontier = tuple(options.at(place) for place in found.frontier())
    best = _best(found, options)
    nearest = None if best is not None or not len(found) else _nearest(found, wishes)
    shown = best if best is not None else nearest
    savings = (
        savings_of(found.places[shown], options.at(shown).row, market.works, market.database) if shown is not None
        else ()
    )  # fmt: skip
    return Advice(
        runs=runs,
        wishes=wishes,
        best=None if best is None else options.at(best),
        nearest=None if nearest is None else options.at(nearest),
        neighbours=() if best is None else tuple(_neighbours(options.at(best), frontier, options, found)),
        frontier=frontier,
        savings=savings,
        remedies=() if nearest is None else (*_remedies(options.at(nearest), wishes, found), *_on_spot(market)),
        free=free_plans(market.works, market.database),
        laptop=_laptop(market),
        considered=len(found) + len(market.unanswered) + sum(len(way.shelf.offers) for way in market.outdone),
        left_out=market.left_out(found),
        refused=next(iter(market.refused), ""),
    )


class _Options:
    """Options by their row, each worked out once."""

    def __init__(self, found: Candidates, wishes: Wishes) -> None:
        self.found, self.wishes = found, wishes
        self._known: dict[int, Option] = {}

    def at(self, place: int) -> Option:
        """Return the option of a row."""
        if place not in self._known:
            self._known[place] = Option.of(self.found.places[place].estimate(), self.wishes)
        return self._known[place]


def _best(found: Candidates, options: _Options) -> int | None:
    """Return the row to recommend.

    With limits: the cheapest that keeps them in `SAFE` of the cases, else the one that keeps them most surely. Without:
    the row of the frontier with the least time x cost.
    """
    kept = np.flatnonzero(found.within(options.wishes))
    if not len(kept):
        return None
    if not options.wishes.limits:
        frontier = found.frontier()
        return int(frontier[(found.time_s[frontier, 1] * found.cost_usd[frontier, 1]).argmin()])
    cheapest = kept[np.argsort(found.cost_usd[kept, 1], kind="stable")]
    sure = found.within(options.wishes, end=2)[cheapest]
    looked_at: list[int] = [*cheapest[:LOOKED_AT].tolist(), *cheapest[sure][:1].tolist()]
    safe = next((place for place in looked_at if options.at(place).chance >= SAFE), None)
    return max(looked_at, key=lambda place: options.at(place).chance) if safe is None else safe


def _nearest(found: Candidates, wishes: Wishes) -> int:
    """Return the row whose worst limit is exceeded by the smallest factor."""
    columns = {"budget_usd": found.cost_usd, "deadline_s": found.time_s, "max_co2_kg": found.co2_kg}
    over = [np.nan_to_num(columns[name][:, 1], nan=np.inf) / limit for name, limit in wishes.limits.items()]
    worst = np.max(over, axis=0) if over else found.cost_usd[:, 1]
    return int(worst.argmin())


def _neighbours(best: Option, frontier: Sequence[Option], options: _Options, found: Candidates) -> Iterator[Neighbour]:
    """Yield what is better in one thing: cheaper, faster, greener (the nearest to the best first), safer."""
    wishes = options.wishes
    for kind, figure in (("cheaper", _cost), ("faster", _time), ("greener", _co2)):
        better = [each for each in frontier if figure(each) < 0.97 * figure(best)]
        keeping = [each for each in better if all(chance >= 0.5 for chance in each.chances.values())]
        chosen = min(keeping or better, key=lambda each: _distance(each, best), default=None)
        if chosen is not None:
            yield Neighbour(kind, chosen, _but(chosen, best, wishes), _surely(kind, chosen, best))
    if wishes.limits and best.chance < 0.99:
        sure = np.flatnonzero(found.within(wishes, end=2))
        rows = [options.at(int(place)) for place in sure[np.argsort(found.cost_usd[sure, 1])][:LOOKED_AT]]
        safest = max(rows, key=lambda each: each.chance, default=None)
        if safest is not None and safest.chance > best.chance + 0.01:
            yield Neighbour("safer", safest, _but(safest, best, wishes), safest.chance)


def _surely(kind: str, other: Option, best: Option) -> float:
    """Return how likely the other one is really cheaper, faster or greener.

    Errors of the predicted time are the same on the same devices, so that there the middle decides.
    """
    if (other.row.device, other.row.count) == (best.row.device, best.row.count):
        return 1.0
    figures = {
        "cheaper": (other.row.cost, best.row.cost),
        "faster": (other.row.run_time, best.row.run_time),
        "greener": tuple(each.emissions.co2_kg if each.emissions else None for each in (other, best)),
    }
    first, second = figures[kind]
    return less(first, second) if first is not None and second is not None else 0.0


def _cost(option: Option) -> float:
    return option.row.cost_usd or 0.0


def _time(option: Option) -> float:
    return option.row.run_time_s or 0.0


def _co2(option: Option) -> float:
    return math.inf if option.co2_kg is None else option.co2_kg


def _distance(one: Option, other: Option) -> float:
    """How far apart two options are: factors of time and cost."""
    return abs(math.log(_cost(one) / _cost(other))) + abs(math.log(_time(one) / _time(other)))


def _but(option: Option, best: Option, wishes: Wishes) -> str:
    """Return what speaks against an option beside the recommendation."""
    said = []
    if _time(option) > _time(best):
        said.append(f"{_times(_time(option) / _time(best))} as long")
    if _cost(option) > _cost(best):
        said.append(f"{_times(_cost(option) / _cost(best))} the price")
    for name, chance in option.chances.items():
        if chance < SAFE:
            said.append(f"keeps the {NAMES[name]} in {chance:.0%} of cases only")
    if option.row.basis == "datasheet" and best.row.basis != "datasheet":
        said.append("known from its datasheet only")
    if option.row.device.kind == "tpu" and best.row.device.kind != "tpu":
        said.append("needs JAX or torch/XLA")
    return ", ".join(said)


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio < 1.095 else f"{ratio:.2g} times"


NAMES: Final = {"budget_usd": "budget", "deadline_s": "deadline", "max_co2_kg": "limit of CO2"}


def _remedies(nearest: Option, wishes: Wishes, found: Candidates) -> Iterator[str]:
    """Yield what would make the run keep its limits."""
    time, cost = nearest.row.run_time_s or 0.0, nearest.row.cost_usd or 0.0
    if wishes.budget_usd and wishes.deadline_s:
        in_time = found.cost_usd[found.time_s[:, 1] <= wishes.deadline_s, 1]
        cheap = found.time_s[found.cost_usd[:, 1] <= wishes.budget_usd, 1]
        if len(in_time):
            yield f"a budget of {format_usd(float(in_time.min()))} keeps the deadline"
        if len(cheap):
            yield f"a deadline of {format_duration(float(cheap.min()))} keeps the budget"
    factors = [value / limit for value, limit in
               ((cost, wishes.budget_usd), (time, wishes.deadline_s), (nearest.co2_kg or 0.0, wishes.max_co2_kg))
               if limit]  # fmt: skip
    share = _share_of_work(nearest.row, max(factors, default=1.0))
    if 0 < share < 1:
        yield f"{share:.2g} of the work on the same devices keeps all limits"


def _share_of_work(row: Estimate, over: float) -> float:
    """Return the share of the training that takes 1 / `over` of the time, rounded down; other parts stay."""
    assert row.whole is not None
    total, training = row.whole.total.mid, row.whole.seconds("training").mid
    share = (total / over - (total - training)) / training
    if share <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(share)) - 1)
    return math.floor(share / unit) * unit


def _on_spot(market: Market) -> Iterator[str]:
    """Yield what the nearest spot machines would take, where they were not asked for."""
    if market.wishes.spot:
        return
    wishes = replace(market.wishes, spot=True)
    found = Market(market.works, market.database, wishes).candidates()
    if not len(found) or found.places[place := _nearest(found, wishes)].offer.pricing != "spot":
        return
    option = Option.of(found.places[place].estimate(), wishes)
    cost, time = format_usd(_cost(option)), format_duration(_time(option))
    keeps = "keeps all limits" if found.within(wishes)[place] else "comes nearer"
    yield f"--spot {keeps}: {option.row.count}× {option.row.device.id}, {cost} and {time}"


def _laptop(market: Market) -> Estimate | None:
    """Estimate the run on a laptop's processor; None where the database has none."""
    if LAPTOP not in {device.id for device in market.database.devices()}:
        return None
    device = market.database.device(LAPTOP)
    run = next((work.run for work in market.works if device.supports(work.run.precision)), market.works[-1].run)
    return estimate(run, LAPTOP, database=market.database)
