"""What a run is billed: machines by the provider's clock, storage and traffic where they are given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from estimator.ranges import ZERO, Range
from estimator.whole_run.price_spread import price_spread
from hardware_db.operation import provider_term
from hardware_db.units import format_bytes, format_duration, format_usd

if TYPE_CHECKING:
    from estimator.cost import Rental
    from estimator.whole_run.overheads import Overheads
    from hardware_db import Offer

HOUR_S: Final = 3600.0
MONTH_S: Final = 730 * HOUR_S
GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a bill: US dollars, how they come about, who says so."""

    name: str
    usd: Range
    numbers: str
    source: str


@dataclass(frozen=True, slots=True)
class Bill:
    """The lines of a bill; `missing` names what was asked for and nobody publishes a price of."""

    charges: tuple[Charge, ...]
    missing: tuple[str, ...] = ()

    @property
    def total(self) -> Range:
        """All lines together [USD]."""
        return sum((each.usd for each in self.charges), ZERO)


def bill_of(rental: Rental, run_time: Range, overheads: Overheads | None) -> Bill:
    """Return the bill of a run of this wall-clock time on rented machines."""
    offer = rental.offer
    billed = Range(*(billed_s(offer, seconds) for seconds in (run_time.low, run_time.mid, run_time.high)))
    idle = f", {rental.idle_devices} devices idle" if rental.idle_devices else ""
    numbers = f"{rental.instances} × {format_usd(offer.usd_per_hour)}/h × {format_duration(billed.mid)}{idle}"
    usd = (billed * (rental.usd_per_hour / HOUR_S)).times_independent(price_spread(offer))
    charges = [Charge("machines", usd, numbers, f"{offer.source}, {offer.as_of}")]
    missing = []
    for name, found in _given(offer, run_time, overheads).items():
        if found is None:
            missing.append(f"{offer.provider} publishes no price of {name}: it is not in the cost")
        else:
            charges.append(found)
    return Bill(tuple(charges), tuple(missing))


def billed_s(offer: Offer, seconds: float) -> float:
    """Return the seconds of a machine that are paid: at least the provider's minimum, in whole steps of its clock.

    A provider that publishes neither is taken to bill by the second.
    """
    if math.isinf(seconds):
        return seconds
    step, least = billing_clock(offer.provider, offer.instance)
    paid = max(seconds, least)
    return math.ceil(paid / step) * step if step else paid


@cache
def billing_clock(provider: str, instance: str) -> tuple[float, float]:
    """Return the step of a provider's clock, 0 where it bills by the second or publishes none, and its minimum [s]."""
    step, least = (provider_term(provider, name, instance) for name in ("billing_step", "billing_minimum"))
    return (step.high if step and step.high > 1 else 0.0), (least.high if least else 0.0)


def _given(offer: Offer, run_time: Range, overheads: Overheads | None) -> dict[str, Charge | None]:
    if overheads is None:
        return {}
    found: dict[str, Charge | None] = {}
    if overheads.stored_bytes is not None:
        found["storage"] = _storage(offer, overheads.stored_bytes, run_time)
    if overheads.egress_bytes is not None:
        found["egress"] = _egress(offer, overheads.egress_bytes)
    return found


def _storage(offer: Offer, stored_bytes: float, run_time: Range) -> Charge | None:
    """Object storage, or block storage where the provider sells only that, for as long as the run takes."""
    term = provider_term(offer.provider, "object_storage") or provider_term(offer.provider, "block_storage")
    if term is None:
        return None
    monthly = Range(term.low, (term.low + term.high) / 2, term.high) * (stored_bytes / GB)
    numbers = f"{format_bytes(stored_bytes)} × {format_usd(term.low)} a GB and month × {format_duration(run_time.mid)}"
    return Charge("storage", monthly.times(run_time * (1 / MONTH_S)), numbers, ", ".join(term.sources))


def _egress(offer: Offer, sent_bytes: float) -> Charge | None:
    term = provider_term(offer.provider, "egress")
    if term is None:
        return None
    free = provider_term(offer.provider, "free_egress")
    paid = max(0.0, sent_bytes / GB - (free.low if free else 0.0))
    numbers = f"{paid:,.4g} GB beyond what is free × {format_usd(term.low)}"
    return Charge("egress", Range(term.low, (term.low + term.high) / 2, term.high) * paid, numbers,
                  ", ".join(term.sources))  # fmt: skip
