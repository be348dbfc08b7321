"""All devices, counts, strategies and offers of a question.

A run is predicted once for every device, network and count; its many offers then only differ in price, interruptions
and electricity, which are columns of numbers (`estimator.advice.shelf`). The most promising come first; what
others have beaten in everything even if it computed at its peak (`estimator.advice.bound`) is not predicted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from estimator.advice.bound import Beaten, Way
from estimator.advice.candidates import Block, Candidates
from estimator.advice.own import own_offer
from estimator.advice.shelf import Shelf
from estimator.advice.wishes import FRAMEWORKS, Wishes
from estimator.answer import Answer, Cluster, WhyNot
from estimator.cost import fabric_of, rent
from estimator.pricing import answered, device_of
from estimator.timing import as_benchmarked
from estimator.whole_run.run_time import refusal, whole_run_time
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.network import Network
    from estimator.workload import Workload
    from hardware_db import Database, Device, Offer

COUNTS: Final = (1, 2, 4, 8)
MORE_COUNTS: Final = (16, 32, 64, 128, 256)

OUTDONE: Final = "others are faster, cheaper and greener even than this could be at its peak"

Machine = tuple[str, int, float | None, int | None]


@dataclass(frozen=True, eq=False)
class Market:
    """One question: the work in order of preference of precision, the hardware database and the wishes."""

    works: tuple[Workload, ...]
    database: Database
    wishes: Wishes
    unanswered: list[Answer] = field(default_factory=list)
    outdone: list[Way] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _shelves: dict[str, tuple[tuple[Network, Shelf], ...]] = field(default_factory=dict)

    def candidates(self, counts: Sequence[int] = COUNTS) -> Candidates:
        """Return all ways to run it with these numbers of devices, or those that were asked for."""
        ways = [
            way
            for device in self._offers
            for count in self.wishes.counts or self._counts(device, counts)
            for way in self._ways(device, count)
        ]
        least = [way.least for way in ways]
        beaten, blocks = Beaten(), list[Block]()
        for at in sorted(range(len(ways)), key=lambda at: float(least[at][0] * least[at][1])):
            if beaten(ways[at], least[at]):
                self.outdone.append(ways[at])
                continue
            for block in self._blocks(ways[at]):
                blocks.append(block)
                beaten.add(ways[at], block)
        return Candidates.of(blocks, tuple(self.unanswered))

    def left_out(self, found: Candidates) -> dict[str, str]:
        """Return why a device is none of the options, or not with every number of devices."""
        options = {block.found.device.id for block in found.places.blocks}
        outdone = {way.shelf.device.id: OUTDONE for way in self.outdone if way.shelf.device.id not in options}
        return outdone | {each.device.id: each.why_not.text for each in found.unanswered if each.why_not}

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """Devices that may be taken."""
        wished = self.wishes
        found = self.database.match(wished.devices) if wished.devices else self.database.devices()
        kinds = FRAMEWORKS[wished.framework] if wished.framework else None
        return tuple(each for each in found if each.use == "training" and (kinds is None or each.kind in kinds))

    @cached_property
    def _offers(self) -> dict[Device, list[Offer]]:
        wished, pricings = self.wishes, self.wishes.pricings
        allowed = {device.id: device for device in self.devices}
        found: dict[Device, list[Offer]] = {}
        by_id: dict[str, list[Offer]] = defaultdict(list)
        for offer in self.database.current_offers:
            if (
                offer.pricing in pricings
                and wished.provider in (None, offer.provider)
                and wished.region in (None, offer.region)
            ):
                by_id[offer.device].append(offer)
        for name, count in wished.own.items():
            device = self.database.device(name)
            allowed[device.id] = device
            by_id[device.id].append(own_offer(as_benchmarked(device), count, wished.electricity_usd_per_kwh))
        for id, offers in by_id.items():
            if id in allowed:
                found[allowed[id]] = offers
        return found

    def _counts(self, device: Device, counts: Sequence[int]) -> tuple[int, ...]:
        batch = self._work(device).run.global_batch_size
        if device.kind == "cpu":
            return (1,)
        return tuple(count for count in counts if batch % (count * device.logical_devices) == 0)

    def _work(self, device: Device) -> Workload:
        return next((work for work in self.works if device.supports(work.run.precision)), self.works[-1])

    def _ways(self, device: Device, count: int) -> Iterator[Way]:
        """Yield the networks in which somebody offers so many."""
        for network, whole_shelf in self._grouped(device):
            shelf = whole_shelf.at_most(count)
            if shelf.offers:
                yield Way(self._work(device), count, network, shelf)

    def _blocks(self, way: Way) -> Iterator[Block]:
        """Yield what the devices make of the run, on the offers that have them."""
        found = self._answer(way.work, Cluster(way.shelf.device, way.count, way.network))
        if found.step is None:
            self.unanswered.append(found)
            return
        blocks = list(way.shelf.blocks(way.work, found))
        yield from blocks
        if not self.refused and sum(len(block.offers) for block in blocks) < len(way.shelf.offers):
            offered = {id(offer) for block in blocks for offer in block.offers}
            left = next(offer for offer in way.shelf.offers if id(offer) not in offered)
            whole = whole_run_time(way.work.run, found, rent(left, way.count))
            self.refused.append(f"not on {left.pricing} machines: {refusal(way.work.run, whole)}".replace("\n", ". "))

    def _grouped(self, device: Device) -> tuple[tuple[Network, Shelf], ...]:
        """Return offers by the device and the network that they really give, worked out once a machine."""
        if device.id not in self._shelves:
            machines: dict[Machine, list[Offer]] = defaultdict(list)
            for offer in self._offers[device]:
                machines[offer.instance, offer.device_count, offer.cores, offer.memory_bytes].append(offer)
            groups: dict[tuple[Device, Network], list[Offer]] = defaultdict(list)
            for offers in machines.values():
                real = device_of(self.database, offers[0])
                groups[real, fabric_of(real, offers[0], self.database.system_of(offers[0]))] += offers
            shelves = ((network, Shelf.of(real, offers)) for (real, network), offers in groups.items())
            self._shelves[device.id] = tuple(shelves)
        return self._shelves[device.id]

    def _answer(self, work: Workload, cluster: Cluster) -> Answer:
        try:
            return answered(work, self.database, cluster)
        except UsageError as error:
            return Answer(cluster.device, cluster.count, why_not=WhyNot("batch", str(error)))
