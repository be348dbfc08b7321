"""How much training a search is, in whole runs: full trials, or rungs that stop most trials early.

    grid, random   every trial runs to the end
    asha           successive halving: of n trials after a share r of a run, n / eta go on to a share r eta, and so on
    hyperband      brackets of successive halving from cautious to bold, each with about the same budget

(Jamieson and Talwalkar, 2016, arXiv:1502.07943; Li et al., 2018, arXiv:1603.06560; Li et al., 2020, arXiv:1810.05934.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from hardware_db.errors import UsageError

Method = Literal["grid", "random", "asha", "hyperband"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched.

    Attributes
    ----------
    method
        grid, random, asha or hyperband
    trials
        configurations that are tried
    reduction
        eta: of so many trials one goes on
    least_share
        share of a whole run after which the first trials are judged
    """

    method: Method = "random"
    trials: int = 1
    reduction: int = 3
    least_share: float = 1 / 27

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"method {self.method!r} is unknown. Use one of: {', '.join(METHODS)}")
        if self.trials < 1 or self.reduction < 2:
            raise UsageError(
                f"trials must be 1 or more and the reduction 2 or more; given: {self.trials}, {self.reduction}"
            )
        if not 0 < self.least_share <= 1:
            raise UsageError(f"least_share must be above 0 and at most 1; given: {self.least_share:g}")


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of a search: (how many, share of a whole run that each adds) of every rung, and those started."""

    rungs: tuple[tuple[int, float], ...]
    started: int

    @property
    def runs(self) -> float:
        """Training altogether, in whole runs."""
        return sum(count * share for count, share in self.rungs)

    def wall_runs(self, parallel: int) -> float:
        """Return the wall clock in whole runs with so many trials side by side; rungs wait for their last trial."""
        return sum(math.ceil(count / parallel) * share for count, share in self.rungs)


def trials_of(search: Search) -> Trials:
    """Return the trials of a search.

    Examples
    --------
    >>> trials_of(Search("random", 27)).runs
    27
    >>> round(trials_of(Search("asha", 27, 3, 1 / 27)).runs, 3)
    3.0
    """
    return METHODS[search.method](search)


def _to_the_end(search: Search) -> Trials:
    return Trials(((search.trials, 1),), search.trials)


def _halving(search: Search) -> Trials:
    return Trials(_rungs(search.trials, search.least_share, search.reduction), search.trials)


def _rungs(trials: int, share: float, reduction: int) -> tuple[tuple[int, float], ...]:
    """Return the rungs of one bracket; each trial that goes on adds what it has not trained yet."""
    found, trained, count = [], 0.0, trials
    while count >= 1:
        share = min(1.0, share)
        found.append((count, share - trained))
        if share >= 1:
            break
        trained, share, count = share, share * reduction, count // reduction
    return tuple(found)


def _hyperband(search: Search) -> Trials:
    """Brackets s = s_max .. 0 with ceil((s_max + 1) / (s + 1) eta^s) trials from a share eta^-s (algorithm 1)."""
    eta = search.reduction
    most = round(math.log(1 / search.least_share, eta))
    brackets = [(math.ceil((most + 1) / (s + 1) * eta**s), eta**-s) for s in range(most, -1, -1)]
    rungs = [rung for count, share in brackets for rung in _rungs(count, share, eta)]
    return Trials(tuple(rungs), sum(count for count, _ in brackets))


METHODS: Final[Mapping[str, Callable[[Search], Trials]]] = {
    "grid": _to_the_end,
    "random": _to_the_end,
    "asha": _halving,
    "hyperband": _hyperband,
}
