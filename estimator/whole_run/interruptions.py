"""How often a run is stopped from outside, how often it should save itself, and what being stopped costs.

A run that saves every t seconds, d seconds each time, and is stopped with exponentially distributed gaps of mean M,
takes

    M exp(R / M) (exp((t + d) / M) - 1) W / t

for W seconds of work, R being what a restart takes (Daly, 2006, doi 10.1016/j.future.2004.11.016, equation 20). It is
shortest near t = sqrt(2 d M) - d (Young, 1974, doi 10.1145/361147.361115), which Daly extends (his equation 37).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from estimator.ranges import Range
from estimator.whole_run.assumptions import assumption
from hardware_db.operation import provider_term, reliabilities, reliability

if TYPE_CHECKING:
    from hardware_db import Device, Offer

HOUR_S = 3600.0
HOURS_PER_MONTH = 730.0
LARGEST_EXPONENT = 700.0
"""exp of more is no float."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """One cause of stops: what it is, mean seconds between stops of the whole run, and who says so."""

    cause: str
    seconds_between: Range
    source: str


def best_interval_s(write_s: float, between_s: float) -> float:
    """Return the time between checkpoints that makes a run shortest [s].

    Parameters
    ----------
    write_s
        seconds to write one
    between_s
        mean seconds between stops

    Examples
    --------
    >>> round(best_interval_s(60, 24 * 3600))
    3180
    """
    if write_s >= 2 * between_s or math.isinf(between_s):
        return between_s
    share = write_s / (2 * between_s)
    return math.sqrt(2 * write_s * between_s) * (1 + math.sqrt(share) / 3 + share / 9) - write_s


def expected_s(work_s: float, interval_s: float, write_s: float, restart_s: float, between_s: float) -> float:
    """Return the expected time of a run that is stopped now and then [s]; infinite where it would never end.

    Examples
    --------
    >>> expected_s(3600, 600, 0, 0, math.inf)
    3600.0
    """
    segment = min(interval_s, work_s)
    if math.isinf(between_s):
        return work_s * (1 + write_s / segment)
    if (segment + write_s) / between_s > LARGEST_EXPONENT:
        return math.inf
    again = math.exp(min(restart_s / between_s, LARGEST_EXPONENT))
    return between_s * again * math.expm1((segment + write_s) / between_s) * work_s / segment


def failures_of(device: Device, count: int, given_device_hours: float | None = None) -> Hazard:
    """Return how often one of `count` devices, or its host, fails.

    The published record of the device with the most device-hours gives the middle, the extremes of all records the
    ends; a device without a record is taken as those that have one, and the source says so.
    """
    if given_device_hours is not None:
        return Hazard("failures", Range.exactly(given_device_hours * HOUR_S / count), "given")
    hours = sorted(record.device_hours_between for record in reliabilities())
    own = reliability(device.id)
    middle = own.device_hours_between if own else hours[len(hours) // 2]
    source = (
        f"{own.cluster}: {own.counted} ({', '.join(own.sources)}); ends: other published clusters"
        if own
        else f"nothing is published for {device.id}: as the clusters of others ({', '.join(_clusters())})"
    )
    ends = Range(min(hours[0], middle), middle, max(hours[-1], middle))
    return Hazard("failures", ends * (HOUR_S / count), source)


def preemptions_of(offer: Offer, instances: int, given_per_day: float | None = None) -> Hazard | None:
    """Return how often one of the spot machines is taken away; None where the machines are not spot.

    A provider's share of machines interrupted in a month becomes a rate, -ln(1 - share) a month; where nothing is
    published it is an assumption, and the source says so.
    """
    if offer.pricing != "spot":
        return None
    if given_per_day is not None:
        return Hazard("preemptions", Range.exactly(24 * HOUR_S / given_per_day / instances), "given")
    hours, source = _hours_between(offer.provider, offer.instance)
    return Hazard("preemptions", hours * (HOUR_S / instances), source)


@cache
def _hours_between(provider: str, instance: str) -> tuple[Range, str]:
    """Mean hours until one spot machine is taken away, the same in all its regions, and who says so."""
    term = provider_term(provider, "spot_interrupted", instance)
    if term is None:
        assumed = assumption("spot_between")
        return assumed.range, f"assumed, {assumed.told}"
    often, seldom = (HOURS_PER_MONTH / -math.log1p(-share) for share in (term.high, term.low))
    source = f"{term.low:.0%}-{term.high:.0%} of {term.machines} a month ({', '.join(term.sources)})"
    return Range(often, math.sqrt(often * seldom), seldom), source


def together(hazards: list[Hazard]) -> Range:
    """Return the mean seconds between stops of any cause: rates add."""
    rates = [
        sum(1 / getattr(each.seconds_between, end) for each in hazards if getattr(each.seconds_between, end) > 0)
        for end in ("low", "mid", "high")
    ]
    return Range(*(1 / rate if rate else math.inf for rate in rates))


def _clusters() -> list[str]:
    return [record.cluster for record in reliabilities()]
