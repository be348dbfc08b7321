"""Ranges as probabilities: how likely a quantity stays below a limit, or below another one.

A range holds 80 % of cases, so its ends are 1.2816 standard deviations from the middle; quantities are positive and
their errors factors, so logarithms are normal, each side of the middle with its own deviation.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.ranges import Range
from estimator.whole_run import RunTime

STANDARD: Final = NormalDist()
TAIL: Final = STANDARD.inv_cdf(0.9)
DRAWS: Final = 400
"""Quantiles that stand for a distribution; twice as many change no result by 0.1 %."""


def below(spread: Range, limit: float) -> float:
    """Return how likely a quantity is at most `limit`.

    Examples
    --------
    >>> round(below(Range(80, 100, 125), 125), 3), below(Range(80, 100, 125), 100)
    (0.9, 0.5)
    """
    if limit <= 0 or math.isinf(spread.mid):
        return 0.0
    if math.isinf(limit):
        return 1.0
    distance = math.log(limit / spread.mid)
    end = spread.high if distance > 0 else spread.low
    width = abs(math.log(end / spread.mid)) / TAIL if 0 < end < math.inf else math.inf
    if width == 0:
        return 1.0 if distance >= 0 else 0.0
    return STANDARD.cdf(distance / width)


def less(first: Range, second: Range) -> float:
    """Return how likely the first quantity is below the second, both drawn on their own.

    Examples
    --------
    >>> round(less(Range(8, 10, 12), Range(8, 10, 12)), 2)
    0.5
    """
    ours, theirs = _draws(first), _draws(second)
    smaller = np.searchsorted(np.sort(ours), theirs, side="left") + np.searchsorted(np.sort(ours), theirs, side="right")
    return float(smaller.mean() / 2 / DRAWS)


def in_time(whole: RunTime, deadline_s: float) -> float:
    """Return how likely a run ends before the deadline: the range of its parts, and stops that come at random.

    Stops are a Poisson number; each costs the same here, what all are expected to cost over how many are.
    """
    stops, lost = whole.stops.mid, whole.seconds("interruptions")
    if stops <= 0 or not math.isfinite(stops):
        return below(whole.total, deadline_s)
    rest = Range(*(getattr(whole.total, end) - getattr(lost, end) for end in ("low", "mid", "high")))
    each = lost.mid / stops
    most = int(stops + 8 * math.sqrt(stops) + 8)
    chance, total = math.exp(-stops), 0.0
    if chance == 0.0:
        return below(whole.total, deadline_s)
    for number in range(most + 1):
        total += chance * below(rest, deadline_s - number * each)
        chance *= stops / (number + 1)
    return min(1.0, total)


@lru_cache(maxsize=4096)
def _draws(spread: Range) -> NDArray[np.float64]:
    levels = (np.arange(DRAWS) + 0.5) / DRAWS
    normal = _normal_quantiles()
    up, down = (abs(math.log(max(end, 1e-300) / spread.mid)) / TAIL for end in (spread.high, spread.low))
    found: NDArray[np.float64] = spread.mid * np.exp(normal * np.where(levels > 0.5, up, down))
    return found


@lru_cache(maxsize=1)
def _normal_quantiles() -> NDArray[np.float64]:
    return np.array([STANDARD.inv_cdf((place + 0.5) / DRAWS) for place in range(DRAWS)])
