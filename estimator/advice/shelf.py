"""Offers of the same devices in the same network as columns, and what a run on each of them takes and costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.advice.candidates import Block, Floats
from estimator.advice.carbon import grams_and_effectiveness
from estimator.cost import rent
from estimator.energy import energy_kwh, mean_power_w
from estimator.whole_run.bill import bill_of, billing_clock
from estimator.whole_run.interruptions import preemptions_of
from estimator.whole_run.price_spread import price_spread
from estimator.whole_run.run_time import refusal, whole_run_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from estimator.answer import Answer
    from estimator.ranges import Range
    from estimator.workload import Workload
    from hardware_db import Device, Offer

ENDS: Final = ("low", "mid", "high")
HOUR_S: Final = 3600.0
NEVER: Final = 0
"""Place among the hazards of machines that nobody takes away."""


@dataclass(frozen=True, eq=False)
class Shelf:
    """Offers as columns, (n,) each; `hazard` numbers offers that are taken away equally often, `drift` is (n, 2)."""

    device: Device
    offers: Sequence[Offer]
    device_count: NDArray[np.intp]
    usd_per_hour: Floats
    kg_per_kwh: Floats
    clock: Floats
    drift: Floats
    hazard: NDArray[np.intp]
    own: NDArray[np.bool_]

    @classmethod
    def of(cls, device: Device, offers: Sequence[Offer]) -> Shelf:
        """Read the columns off the offers."""
        today = date.today()
        hazards: dict[Range | None, int] = {None: NEVER}
        ends = [(each.low, each.high) for each in (price_spread(offer, today) for offer in offers)]
        return cls(
            device,
            offers,
            np.array([offer.device_count for offer in offers], dtype=np.intp),
            np.array([offer.usd_per_hour for offer in offers]),
            np.array([_kg_per_kwh(offer) for offer in offers]),
            np.array([billing_clock(offer.provider, offer.instance) for offer in offers]),
            np.log(np.array(ends)),
            np.array([hazards.setdefault(_hazard(offer), len(hazards)) for offer in offers], dtype=np.intp),
            np.array([offer.provider == "own" for offer in offers]),
        )

    def at_most(self, count: int) -> Shelf:
        """Return it without own machines that have fewer devices."""
        rows = np.flatnonzero(~self.own | (count <= self.device_count))
        return self if len(rows) == len(self.offers) else self._only(rows)

    def _only(self, rows: NDArray[np.intp]) -> Shelf:
        return Shelf(
            self.device, [self.offers[at] for at in rows], self.device_count[rows], self.usd_per_hour[rows],
            self.kg_per_kwh[rows], self.clock[rows], self.drift[rows], self.hazard[rows], self.own[rows],
        )  # fmt: skip

    def blocks(self, work: Workload, found: Answer) -> Iterator[Block]:
        """Yield what a run takes and costs on each offer; those that are interrupted alike share a run time."""
        instances = -(-found.count // self.device_count)
        alike = np.where(self.hazard == NEVER, 0, self.hazard * (instances.max(initial=0) + 1) + instances)
        kinds = np.unique(alike)
        for each in kinds:
            rows = np.flatnonzero(alike == each)
            shelf = self if len(kinds) == 1 else self._only(rows)
            yield from shelf._block(work, found, instances[rows])

    def _block(self, work: Workload, found: Answer, instances: NDArray[np.intp]) -> Iterator[Block]:
        whole = whole_run_time(work.run, found, rent(self.offers[0], found.count))
        if refusal(work.run, whole) is not None:
            return
        total = whole.total
        table = np.empty((len(self.offers), 9))
        table[:, :3] = [getattr(total, end) for end in ENDS]
        table[:, 3:6] = self._usd(table[:, :3], instances)
        assert found.step is not None
        power = mean_power_w(found.device, found.step.buckets)
        energy = energy_kwh(power, found.count, total) if power else None
        kwh = np.full(3, np.nan) if energy is None else np.array([getattr(energy, end) for end in ENDS])
        table[:, 6:] = np.outer(self.kg_per_kwh, kwh)
        given = work.run.overheads
        if given is not None and (given.stored_bytes is not None or given.egress_bytes is not None):
            bills = [bill_of(rent(offer, found.count), total, given).total for offer in self.offers]
            table[:, 3:6] = [[getattr(bill, end) for end in ENDS] for bill in bills]
        yield Block(work, found, self.offers, table)

    def _usd(self, seconds: Floats, instances: NDArray[np.intp]) -> Floats:
        """Machines by the provider's clock; as `bill_of` does for one offer."""
        step, least = self.clock[:, :1], self.clock[:, 1:]
        paid = np.maximum(seconds, least)
        ticked = np.where(step > 0, np.ceil(paid / np.where(step > 0, step, 1.0)) * step, paid)
        usd = ticked * (instances * self.usd_per_hour / HOUR_S)[:, None]
        sure = (usd[:, 1] <= 0) | ~np.isfinite(usd[:, 1])
        mid = np.where(sure, 1.0, usd[:, 1])
        for end, sign, drift in ((0, -1.0, self.drift[:, 0]), (2, 1.0, self.drift[:, 1])):
            width = np.sqrt(np.log(np.where(sure, 1.0, usd[:, end]) / mid) ** 2 + drift**2)
            usd[:, end] = np.where(sure, usd[:, end], mid * np.exp(sign * width))
        return usd


def _hazard(offer: Offer) -> Range | None:
    """How often one machine is taken away, None where it is not."""
    found = preemptions_of(offer, 1)
    return found.seconds_between if found else None


def _kg_per_kwh(offer: Offer) -> float:
    """Kilograms of CO2 equivalent for a kWh of a device in a region."""
    grams, effectiveness = grams_and_effectiveness(offer)[:2]
    return effectiveness * grams / 1000
