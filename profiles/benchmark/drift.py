"""Whether a machine is as fast as one that was recorded: the health check of a rented box."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hardware_db.errors import DataError
from profiles.machine_profile import Machine, MachineProfile, Timing

SLOWER: Final = 1.10
"""From this ratio of times on a family of cases counts as slower."""

UNCHECKED: Final = ("launch", "fresh memory", "training step")
"""Families that say more about Python, the system and the model than about the machine."""

MULTIPLYING: Final = ("matmul", "convolution", "attention", "recurrent")
"""Families that are rated by their FLOPs; the others by the bytes they move."""


@dataclass(frozen=True, slots=True)
class FamilyDrift:
    """Median over the cases that both profiles have of time now over time then; above 1 is slower."""

    family: str
    precision: str
    cases: int
    ratio: float

    @property
    def slower(self) -> bool:
        """Whether it is more than 10 % slower."""
        return self.ratio > SLOWER


def check_alike(now: Machine, then: Machine) -> None:
    """Refuse to compare machines of different kinds or with different numbers of threads.

    Raises
    ------
    DataError
        They are unlike.
    """
    for what, one, other in (("a", now.kind, then.kind), ("threads:", now.threads, then.threads)):
        if one != other:
            raise DataError(f"The profile to check against is of {what} {other}, this machine is {what} {one}")


def drifts(now: MachineProfile, then: MachineProfile) -> tuple[FamilyDrift, ...]:
    """Compare two profiles family by family.

    Raises
    ------
    DataError
        They are of different kinds of machine, of different numbers of threads, or have no case in common.
    """
    check_alike(now.machine, then.machine)
    recorded = {timing.name: timing for timing in then.timings}
    found: dict[tuple[str, str], list[float]] = {}
    for timing in now.timings:
        if timing.name in recorded and timing.family not in UNCHECKED:
            key = (timing.family, timing.precision)
            found.setdefault(key, []).append(timing.typical_s / recorded[timing.name].typical_s)
    if not found:
        raise DataError("The two profiles have no case in common. Benchmark both machines with the same options")
    return tuple(FamilyDrift(*key, len(ratios), statistics.median(ratios)) for key, ratios in found.items())


def fastest(timings: Sequence[Timing], family: str, precision: str) -> Timing | None:
    """Return the case of a family that reached the highest rate; None where none has a rate."""
    rates = {
        timing.name: _rate(timing) for timing in timings if (timing.family, timing.precision) == (family, precision)
    }
    best = max(rates, key=lambda name: rates[name], default=None)
    return next((timing for timing in timings if timing.name == best and rates[timing.name] > 0), None)


def _rate(timing: Timing) -> float:
    return (timing.flops if timing.family in MULTIPLYING else timing.moved_bytes) / timing.typical_s
