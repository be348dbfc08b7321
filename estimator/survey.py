"""One run on every device that can be rented: which devices, counts and offers, and the rows that come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

import hardware_db
from estimator.answer import Answer, Cluster, WhyNot, answer
from estimator.cost import default_counts, fabric_of, rent
from estimator.estimates import Estimates
from estimator.parallel.network import usual_system
from estimator.pricing import on_offer, preference, priced
from estimator.result import Estimate
from estimator.timing import as_benchmarked
from estimator.workload import Workload
from hardware_db.errors import NoPrice, UsageError

if TYPE_CHECKING:
    from estimator.run import TrainingRun
    from hardware_db import Database, Device, Offer


class Choice(TypedDict, total=False):
    """What `estimate_all` compares; each entry may be left out.

    devices
        names and patterns ("h100-sxm,a100-*", or a sequence of them); default every device with a price
    counts
        devices in use; default the smallest machine on offer and the largest up to 8
    provider, region
        exact; default all
    pricing
        on_demand (default), spot, reserved_1y, reserved_3y or free
    all_offers
        keep every offer, not only the cheapest of a device and count
    database
        the hardware database; default the published one
    """

    devices: str | Sequence[str] | None
    counts: Sequence[int] | None
    provider: str | None
    region: str | None
    pricing: str
    all_offers: bool
    database: Database | None


@dataclass(frozen=True)
class Survey:
    """One call of `estimate_all`: the work in order of preference of precision, and what to compare."""

    works: tuple[Workload, ...]
    choice: Choice
    database: Database

    @classmethod
    def of(cls, run: TrainingRun | Sequence[TrainingRun], choice: Choice) -> Survey:
        """Fill in the defaults.

        Raises
        ------
        UsageError
            there is no run, a count below 1, or a batch that does not divide over a count
        """
        runs = list(run) if isinstance(run, Sequence) else [run]
        if not runs:
            raise UsageError("estimate_all needs at least one run")
        works = tuple(Workload(each) for each in runs)
        for count in choice.get("counts") or ():
            check_count(works[0], count)
        return cls(works, choice, choice.get("database") or hardware_db.load())

    def estimates(self) -> Estimates:
        """Estimate every device that has an offer, cheapest first.

        Raises
        ------
        NoPrice
            no device has one, and none was asked for by name that nobody rents out
        """
        rows: list[Estimate] = []
        left_out: dict[str, str] = {}
        for device in self._devices():
            offers = self._offers.get(device.id, [])
            if not offers and not self._own(device):
                left_out[device.id] = f"no {self._wanted}"
                continue
            rows.extend(self._rows(device, offers))
        if not rows:
            raise NoPrice(self._no_price())
        runs = tuple(work.run for work in self.works)
        return Estimates(tuple(rows), runs, left_out, self.pricing).sort()

    @property
    def pricing(self) -> str:
        """How the offers are paid."""
        return (self.choice.get("pricing") or "on_demand").replace("-", "_")

    @property
    def _wanted(self) -> str:
        provider, region = self.choice.get("provider"), self.choice.get("region")
        where = (f" of {provider}" if provider else "") + (f" in {region}" if region else "")
        return f"{self.pricing.replace('_', ' ')} price{where}"

    def _devices(self) -> tuple[Device, ...]:
        wanted = self.choice.get("devices")
        if not wanted:
            return self.database.devices()
        return self.database.match(wanted if isinstance(wanted, str) else ",".join(wanted))

    @cached_property
    def _offers(self) -> dict[str, list[Offer]]:
        found: dict[str, list[Offer]] = {}
        provider, region = self.choice.get("provider"), self.choice.get("region")
        for offer in self.database.offers(provider=provider, region=region, pricing=self.pricing):
            found.setdefault(offer.device, []).append(offer)
        return found

    def _own(self, device: Device) -> bool:
        """Whether the device was asked for by name and nobody rents it out: it gets a row without a price."""
        return bool(self.choice.get("devices")) and not self.database.offers(device=device.id)

    def _rows(self, device: Device, offers: Sequence[Offer]) -> Iterator[Estimate]:
        work = next((work for work in self.works if device.supports(work.run.precision)), self.works[-1])
        for count in self.choice.get("counts") or default_counts(offers, work.run.global_batch_size):
            if self.choice.get("all_offers"):
                yield from (self._row(work, device, offer, count) for offer in offers or (None,))
            else:
                rivals = cheapest_of_each_machine(offers) or (None,)
                yield min((self._row(work, device, offer, count) for offer in rivals), key=preference)

    def _row(self, work: Workload, device: Device, offer: Offer | None, count: int) -> Estimate:
        try:
            if offer is not None:
                return on_offer(work, self.database, offer, count, splits=self._named)
            return unpriced(work, self.database, device, count)
        except UsageError as error:
            rental = rent(offer, count) if offer else None
            return Estimate(work.run, Answer(device, count, why_not=WhyNot("batch", str(error))), rental)

    @property
    def _named(self) -> bool:
        """Whether devices were asked for by name: a split is searched for those, which takes a second each."""
        return bool(self.choice.get("devices"))

    def _no_price(self) -> str:
        """Say what has no price and where there is one."""
        ids = {device.id for device in self._devices()}
        named = ", ".join(sorted(ids)) if self.choice.get("devices") and len(ids) <= 3 else "any device"
        known = [offer for offer in self.database.offers() if offer.device in ids]
        missing = "region" if self.choice.get("region") else "provider" if self.choice.get("provider") else "pricing"
        alike = [offer for offer in known if missing == "pricing" or offer.pricing == self.pricing]
        values = sorted({str(getattr(offer, missing)) for offer in alike})
        there_is = f"Known {missing}s: {', '.join(values[:8])}" if values else "Every device: flopcast hardware"
        free = ". Free tiers and their calendar days: flopcast advise" if self.pricing == "free" else ""
        return f"No {self._wanted} for {named}. {there_is}{free}"


def cheapest_of_each_machine(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Return one offer of each provider's machines: where regions differ in the price alone, the others cannot win."""
    found: dict[tuple[object, ...], Offer] = {}
    for offer in offers:
        machine = (offer.provider, offer.instance, offer.device_count, offer.cores, offer.memory_bytes)
        if machine not in found or offer.usd_per_hour < found[machine].usd_per_hour:
            found[machine] = offer
    return tuple(found.values())


def unpriced(work: Workload, database: Database, device: Device, count: int) -> Estimate:
    """Estimate a run on devices that nobody rents out, joined as in the vendor's machine.

    Of a processor that the user benchmarked it is the part that the user's machine has.
    """
    device = as_benchmarked(device)
    fabric = fabric_of(device, None, usual_system(database, device))
    return priced(work, answer(work, database, Cluster(device, count, fabric)), None)


def check_count(work: Workload, count: int) -> None:
    """Refuse counts below 1 and those over which the batch does not divide; a split that was asked for says its own."""
    if count < 1:
        raise UsageError(f"count must be 1 or more; given: {count}")
    if work.run.split is None:
        work.samples_each(count, "device")
