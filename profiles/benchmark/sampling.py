"""Repeats until the figure is stable, as hyperfine does it: warm-up, many short repeats, raw times kept.

A figure is stable when two estimates of it agree: the medians of every other repeat, and of those between.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from profiles.benchmark.clock import Call, Clock, Reading

TOLERANCE = 0.02
SLOW_START = 0.05


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to try.

    Attributes
    ----------
    seconds
        after which no repeat is started, by the clock on the wall
    fewest, most
        repeats
    repeat_s
        a repeat makes so many calls that it takes at least this long
    warm_up_s
        calls that are thrown away take at least this long
    """

    seconds: float
    fewest: int = 5
    most: int = 60
    repeat_s: float = 2e-3
    warm_up_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The repeats of one case; `slow_start` is how much slower the warm-up was than the rest (0.1: 10 %)."""

    readings: tuple[Reading, ...]
    stable: bool
    slow_start: float

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds of one call, repeat by repeat."""
        return tuple(each.seconds for each in self.readings)

    @property
    def wall_seconds(self) -> tuple[float, ...]:
        """The same by the clock on the wall."""
        return tuple(each.wall_seconds for each in self.readings)


def sample(variants: Sequence[Call], clock: Clock, effort: Effort, now: Callable[[], float] = time.monotonic) -> Sample:
    """Time calls in turn: `variants` are the same call on different data, so that none finds its own in a cache.

    Two calls at least are thrown away before anything counts: the first loads code and chooses kernels by shape.
    """
    deadline = now() + effort.seconds
    call = _in_turn(variants)
    warm = _warm_up(call, clock, effort, now)
    calls = max(1, min(10_000, math.ceil(effort.repeat_s / max(warm[-1].seconds, 1e-9))))
    readings: list[Reading] = []
    stable = False
    while len(readings) < effort.fewest or (len(readings) < effort.most and now() < deadline and not stable):
        if len(readings) >= 2 and now() >= deadline:
            break
        readings.append(clock.read(call, calls))
        stable = len(readings) >= effort.fewest and agree([each.seconds for each in readings])
    return Sample(tuple(readings), stable, _slow_start(warm, readings))


def agree(seconds: Sequence[float], tolerance: float = TOLERANCE) -> bool:
    """Whether two estimates, from the even and the odd repeats, agree within the tolerance."""
    if len(seconds) < 2:
        return False
    one, other = statistics.median(seconds[::2]), statistics.median(seconds[1::2])
    return abs(one - other) <= tolerance * min(one, other)


def _in_turn(variants: Sequence[Call]) -> Call:
    if len(variants) == 1:
        return variants[0]
    following = cycle(variants)
    return lambda: next(following)()


def _warm_up(call: Call, clock: Clock, effort: Effort, now: Callable[[], float]) -> list[Reading]:
    started = now()
    readings = [clock.read(call, 1) for _ in range(2)]
    while now() - started < effort.warm_up_s:
        readings.append(clock.read(call, 1))
    return readings


def _slow_start(warm: Sequence[Reading], readings: Sequence[Reading]) -> float:
    """How much slower the second warm-up call was than the rest: the first one loads code and allocates."""
    if len(warm) < 2 or not readings:
        return 0.0
    usual = statistics.median(each.seconds for each in readings)
    return max(0.0, warm[1].seconds / usual - 1)
