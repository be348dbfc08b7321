"""What disturbed a measurement, in sentences with the remedy: load, falling clocks, quotas, unsteady figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from profiles.benchmark.sampling import SLOW_START, Sample
from profiles.machine_profile import Timing

TAKEN = 0.1
"""Share of the wall clock that other programs may take before it is said."""

STOLEN = 0.02
"""Share of the processors' time that a hypervisor may give to other machines before it is said."""

QUOTA_FILE = Path("/sys/fs/cgroup/cpu.stat")
DRIFT = 0.05
UNSTEADY = 0.05
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Drift:
    """The same product at the beginning and at the end of a run [s]."""

    first_s: float
    last_s: float

    def remarks(self) -> list[str]:
        """Say that the device became slower."""
        slower = self.last_s / self.first_s - 1
        if slower <= DRIFT:
            return []
        return [
            f"the same product took {slower:.0%} longer at the end than at the beginning (heat, or a shared host): "
            "let the machine cool, or measure again later"
        ]


@dataclass(frozen=True, slots=True)
class HostTimes:
    """What the system has counted: seconds of all processors, those stolen, and those waited for a quota."""

    every_s: float
    stolen_s: float
    throttled_s: float

    @classmethod
    def now(cls, quota_file: Path = QUOTA_FILE) -> HostTimes:
        """Ask the system; what it does not count is 0."""
        counted = psutil.cpu_times()
        return cls(sum(counted), getattr(counted, "steal", 0.0), throttled_s(quota_file))

    def remarks(self, before: HostTimes) -> list[str]:
        """Say what was taken from this machine since `before`."""
        said = []
        stolen = (self.stolen_s - before.stolen_s) / max(self.every_s - before.every_s, 1e-9)
        if stolen > STOLEN:
            said.append(
                f"the hypervisor gave {stolen:.0%} of the processors' time to other machines (steal): what is rented "
                "is less than what is named; measure at another hour, or rent dedicated cores"
            )
        if self.throttled_s > before.throttled_s:
            said.append(
                f"the container waited {self.throttled_s - before.throttled_s:.1f} s for its quota of processor time: "
                "use no more threads than the quota has processors (OMP_NUM_THREADS), or raise it"
            )
        return said


def throttled_s(file: Path) -> float:
    """Return the seconds that a control group was held back (cgroup v2, cpu.stat); 0 where there is none."""
    try:
        counted = dict(line.split() for line in file.read_text(encoding="utf-8").splitlines())
        return int(counted.get("throttled_usec", 0)) / 1e6
    except (OSError, ValueError):
        return 0.0


def load_remarks(samples: Sequence[Sample]) -> list[str]:
    """Say how much of the time other programs took, by processor time against the wall clock."""
    own = sum(sum(each.seconds) for each in samples)
    wall = sum(sum(each.wall_seconds) for each in samples)
    taken = 1 - own / wall if wall else 0.0
    if taken <= TAKEN:
        return []
    return [
        f"other programs took {taken:.0%} of the time; it is left out of the figures, but they share caches and "
        "memory: stop them and measure again"
    ]


def steadiness_remarks(timings: Sequence[Timing], *, full: bool = False) -> list[str]:
    """Name the timings that did not settle, and what would help after a quick or a `full` benchmark."""
    loose = [each.name for each in timings if not each.stable and each.spread > UNSTEADY]
    if not loose:
        return []
    named = ", ".join(loose[:MOST_NAMED]) + (f" and {len(loose) - MOST_NAMED} more" if len(loose) > MOST_NAMED else "")
    remedy = "measure again when nothing else runs" if full else "--full repeats more often"
    return [f"{len(loose)} of {len(timings)} figures did not settle within 2 % ({named}): {remedy}"]


def change_remarks(changes: Sequence[float]) -> list[str]:
    """Say that the machine was not equally fast in all passes; `changes` are ratios of times of one to those before."""
    median = statistics.median(abs(change - 1) for change in changes) if changes else 0.0
    if median <= DRIFT:
        return []
    return [
        f"from one pass to the next the same cases took {median:.0%} more or less in the median (a neighbour on a "
        "shared host, or clocks): expect that of every step here; the figures are of all passes"
    ]


def start_remarks(samples: Sequence[Sample]) -> list[str]:
    """Say that the device needed a while to clock up."""
    slow = statistics.median(each.slow_start for each in samples) if samples else 0.0
    if slow <= SLOW_START:
        return []
    return [f"the first runs were {slow:.0%} slower than the rest (clock ramping up); they are left out"]
