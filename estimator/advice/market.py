"""All devices, counts, strategies and offers of a question as columns: time, cost and emissions of each.

A run is predicted once for every device, network and count; its many offers then only differ in price, interruptions
and electricity, which are columns of numbers. Only what is shown becomes an `Estimate`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.advice.carbon import grams_and_effectiveness
from estimator.advice.own import own_offer
from estimator.advice.wishes import FRAMEWORKS, Wishes
from estimator.answer import Answer, Cluster, WhyNot, answer
from estimator.cost import fabric_of, rent
from estimator.energy import energy_kwh
from estimator.pricing import priced
from estimator.whole_run.run_time import refusal, whole_run_time
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.network import Network
    from estimator.result import Estimate
    from estimator.whole_run import RunTime
    from estimator.workload import Workload
    from hardware_db import Database, Device, Offer

Floats = NDArray[np.float64]

COUNTS: Final = (1, 2, 4, 8)
MORE_COUNTS: Final = (16, 32, 64, 128, 256)
ENDS: Final = ("low", "mid", "high")
HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One way to run it: the work in one precision, what its devices make of it, and the offer that is rented."""

    work: Workload
    found: Answer
    offer: Offer
    whole: RunTime

    def estimate(self) -> Estimate:
        """Return it with every part of time and cost."""
        return priced(self.work, self.found, rent(self.offer, self.found.count))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Ways to run it, n of them; columns are (n, 3): low, mid, high. Emissions are NaN where the power is unknown."""

    places: list[Place]
    time_s: Floats
    cost_usd: Floats
    co2_kg: Floats
    unanswered: tuple[Answer, ...]

    def __len__(self) -> int:
        return len(self.places)

    def within(self, wishes: Wishes, end: int = 1) -> NDArray[np.bool_]:
        """Return which keep all limits with the low (0), middle (1) or high (2) end of their ranges."""
        kept = np.ones(len(self), dtype=bool)
        columns = {"budget_usd": self.cost_usd, "deadline_s": self.time_s, "max_co2_kg": self.co2_kg}
        for name, limit in wishes.limits.items():
            kept &= columns[name][:, end] <= limit
        return kept

    def frontier(self) -> NDArray[np.intp]:
        """Return which no other beats in time, cost and emissions at once; unknown emissions count as most."""
        points = np.column_stack([self.time_s[:, 1], self.cost_usd[:, 1], np.nan_to_num(self.co2_kg[:, 1], nan=np.inf)])
        return pareto(points)


def pareto(points: Floats) -> NDArray[np.intp]:
    """Return the rows of (n, 3) that no other row is at most equal to in every column and below in one.

    Rows are visited in order of the first column, so what beats a row has been seen before it.

    Examples
    --------
    >>> pareto(np.array([[1.0, 5, 5], [2, 4, 6], [3, 4, 6], [2, 6, 6]])).tolist()
    [0, 1]
    """
    order = np.lexsort((points[:, 2], points[:, 1], points[:, 0]))
    kept: list[int] = []
    best = np.empty((0, 2))
    for place in order.tolist():
        rest = points[place, 1:]
        if len(best) and bool(np.any(np.all(best <= rest, axis=1))):
            continue
        kept.append(place)
        best = np.vstack([best[~np.all(best >= rest, axis=1)], rest])
    return np.array(kept, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Market:
    """One question: the work in order of preference of precision, the hardware database and the wishes."""

    works: tuple[Workload, ...]
    database: Database
    wishes: Wishes
    unanswered: list[Answer] = field(default_factory=list)
    _networks: dict[str, dict[tuple[Device, Network], list[Offer]]] = field(default_factory=dict)

    def candidates(self, counts: Sequence[int] = COUNTS) -> Candidates:
        """Return all ways to run it with these numbers of devices, or those that were asked for."""
        places: list[Place] = []
        columns: list[Floats] = []
        for device, offers in self._offers.items():
            for count in self.wishes.counts or self._counts(device, counts):
                for found, alike in self._answers(device, offers, count):
                    self._price(found, alike, places, columns)
        table = np.vstack(columns) if columns else np.empty((0, 9))
        return Candidates(places, table[:, :3], table[:, 3:6], table[:, 6:], tuple(self.unanswered))

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """Devices that may be taken."""
        wished = self.wishes
        found = self.database.match(wished.devices) if wished.devices else self.database.devices()
        kinds = FRAMEWORKS[wished.framework] if wished.framework else None
        return tuple(each for each in found if each.use == "training" and (kinds is None or each.kind in kinds))

    @cached_property
    def _offers(self) -> dict[Device, list[Offer]]:
        wished, allowed = self.wishes, {device.id: device for device in self.devices}
        found: dict[Device, list[Offer]] = defaultdict(list)
        for pricing in ("on_demand", "spot") if wished.spot else ("on_demand",):
            for offer in self.database.offers(provider=wished.provider, region=wished.region, pricing=pricing):
                if offer.device in allowed:
                    found[allowed[offer.device]].append(offer)
        for name, count in wished.own.items():
            device = self.database.device(name)
            found[device].append(own_offer(device, count, wished.electricity_usd_per_kwh))
        return found

    def _counts(self, device: Device, counts: Sequence[int]) -> tuple[int, ...]:
        batch = self._work(device).run.global_batch_size
        if device.kind == "cpu":
            return (1,)
        return tuple(count for count in counts if batch % (count * device.logical_devices) == 0)

    def _work(self, device: Device) -> Workload:
        return next((work for work in self.works if device.supports(work.run.precision)), self.works[-1])

    def _answers(self, device: Device, offers: list[Offer], count: int) -> Iterator[tuple[Place, list[Offer]]]:
        """Yield what each network makes of the run, with the offers that have it."""
        work = self._work(device)
        for (real, network), grouped in self._grouped(device, offers).items():
            alike = [offer for offer in grouped if offer.provider != "own" or count <= offer.device_count]
            found = self._answer(work, Cluster(real, count, network)) if alike else None
            if found is None:
                continue
            if found.step is None:
                self.unanswered.append(found)
            else:
                yield Place(work, found, alike[0], whole_run_time(work.run, found, rent(alike[0], count))), alike

    def _grouped(self, device: Device, offers: list[Offer]) -> dict[tuple[Device, Network], list[Offer]]:
        """Return offers by the device and the network that they really give, worked out once a device."""
        if device.id not in self._networks:
            groups: dict[tuple[Device, Network], list[Offer]] = defaultdict(list)
            for offer in offers:
                real = self.database.device_of(offer)
                groups[real, fabric_of(real, offer, self.database.system_of(offer))].append(offer)
            self._networks[device.id] = dict(groups)
        return self._networks[device.id]

    def _answer(self, work: Workload, cluster: Cluster) -> Answer:
        def compute() -> Answer:
            try:
                return answer(work, self.database, cluster)
            except UsageError as error:
                return Answer(cluster.device, cluster.count, why_not=WhyNot("batch", str(error)))

        return work.remembered((cluster, "advice"), compute)

    def _price(self, first: Place, offers: list[Offer], places: list[Place], columns: list[Floats]) -> None:
        """Add the offers of one answer as rows; those that are interrupted alike share a run time."""
        work, found = first.work, first.found
        groups: dict[tuple[str, str, int] | None, list[Offer]] = defaultdict(list)
        for offer in offers:
            instances = -(-found.count // offer.device_count)
            groups[(offer.provider, offer.instance, instances) if offer.pricing == "spot" else None].append(offer)
        for alike in groups.values():
            whole = whole_run_time(work.run, found, rent(alike[0], found.count))
            if refusal(work.run, whole) is None:
                places.extend(Place(work, found, offer, whole) for offer in alike)
                columns.append(_columns(found, alike, whole))


def _columns(found: Answer, offers: list[Offer], whole: RunTime) -> Floats:
    """Return seconds, dollars and kilograms of offers on which a run takes the same time: (n, 9)."""
    seconds = np.array([whole.total.low, whole.total.mid, whole.total.high])
    hourly = np.array([-(-found.count // offer.device_count) * offer.usd_per_hour for offer in offers])
    energy = energy_kwh(found.device, found.count, whole.total)
    kilowatt_hours = np.full(3, np.nan) if energy is None else np.array([energy.low, energy.mid, energy.high])
    kg_per_kwh = np.array([_kg_per_kwh(offer.provider, offer.region, offer) for offer in offers])
    table = np.empty((len(offers), 9))
    table[:, :3] = seconds
    table[:, 3:6] = np.outer(hourly, seconds / HOUR_S)
    table[:, 6:] = np.outer(kg_per_kwh, kilowatt_hours)
    return table


_KNOWN_KG: Final[dict[tuple[str, str], float]] = {}


def _kg_per_kwh(provider: str, region: str, offer: Offer) -> float:
    """Kilograms of CO2 equivalent for a kWh of a device in a region, looked up once."""
    if (provider, region) not in _KNOWN_KG:
        grams, effectiveness = grams_and_effectiveness(offer)[:2]
        _KNOWN_KG[provider, region] = effectiveness * grams / 1000
    return _KNOWN_KG[provider, region]
