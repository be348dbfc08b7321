"""How far more devices pay: the best plan of each number of devices, and the knee as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from estimator.parallel.breakdown import COMMUNICATION
from estimator.plan.search import Found, search

if TYPE_CHECKING:
    from estimator.cost import Rental
    from estimator.plan.job import Job

SECONDS_PER_HOUR: Final = 3600.0

End = Literal["low", "mid", "high"]
JOINED: Final = (*COMMUNICATION, "stragglers")
ENDS: Final[tuple[End, ...]] = ("low", "mid", "high")

WORTH_HOURS: Final = 0.5
"""More devices pay in hours while the gain is at least half of the ideal one: twice the devices, 1.5 times as fast."""

WORTH_DOLLARS: Final = 1.10
"""More devices pay in dollars while a step costs at most 10 % more than on the cheapest number of them."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was found for one number of devices."""

    count: int
    found: Found

    def seconds(self, end: End = "mid") -> float:
        """Seconds of a step of the best plan with links and hosts at one end of their range; infinite: nothing fits.

        How fast a device computes is the same on all numbers of them; only what joins them decides where scaling ends.
        """
        best = self.found.best
        if best is None:
            return float("inf")
        joined = [best.step.parts[name] for name in JOINED if name in best.step.parts]
        change: float = sum(getattr(part, end) - part.mid for part in joined)
        return best.seconds + change


@dataclass(frozen=True, slots=True)
class Scaling:
    """The points of a job in order of devices; `rentals` are what so many devices are rented for, where known."""

    job: Job
    points: tuple[Point, ...]
    rentals: Mapping[int, Rental] = field(default_factory=dict)

    @property
    def priced(self) -> bool:
        """Whether every number of devices on which something fits has a price."""
        return bool(self.feasible) and all(point.count in self.rentals for point in self.feasible)

    @property
    def feasible(self) -> tuple[Point, ...]:
        """Points where something fits."""
        return tuple(point for point in self.points if point.found.best)

    def device_seconds(self, point: Point, end: End = "mid") -> float:
        """Device time of a step over the least of all points: 1 where devices are used best."""
        least = min(each.count * each.seconds(end) for each in self.feasible)
        return point.count * point.seconds(end) / least

    def usd_per_step(self, point: Point, end: End = "mid") -> float | None:
        """Return what a step costs at the price of whole machines; None where nobody rents so many devices out."""
        rental = self.rentals.get(point.count)
        return None if rental is None else rental.usd_per_hour * point.seconds(end) / SECONDS_PER_HOUR

    def spent(self, point: Point, end: End) -> float:
        """Return what a step costs: dollars where all points have a price, else the time of its devices."""
        usd = self.usd_per_step(point, end) if self.priced else None
        return point.count * point.seconds(end) if usd is None else usd

    def knee(self, pays: Literal["hours", "dollars"]) -> tuple[int, int] | None:
        """Return the most devices that pay, least and most over the ends of the range; None where nothing fits."""
        if not self.feasible:
            return None
        found = [self._knee_at(pays, end) for end in ENDS]
        return min(found), max(found)

    def _knee_at(self, pays: Literal["hours", "dollars"], end: End) -> int:
        points = self.feasible
        if pays == "dollars":
            least = min(self.spent(each, end) for each in points)
            return max(each.count for each in points if self.spent(each, end) <= WORTH_DOLLARS * least)
        last = points[0]
        for each in points[1:]:
            gained = last.seconds(end) / each.seconds(end) - 1
            if gained < WORTH_HOURS * (each.count / last.count - 1):
                break
            last = each
        return last.count


def scaling_of(job: Job, counts: Sequence[int], rentals: Mapping[int, Rental] | None = None) -> Scaling:
    """Search every number of devices, with what they are rented for where that is known."""
    points = tuple(Point(count, search(job.on(count))) for count in sorted(counts))
    return Scaling(job, points, rentals or {})
