"""What each change to a recommendation would do to its hours and dollars: one change at a time, the rest as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from estimator.advice.carbon import grams_and_effectiveness
from estimator.advice.result import Saving
from estimator.fit.changes import LORA_RANK
from estimator.fit.costs import Costs
from estimator.memory import MemorySettings
from estimator.pricing import on_offer
from estimator.workload import Workload
from hardware_db.errors import FlopcastError
from hardware_db.units import format_usd

if TYPE_CHECKING:
    from estimator.advice.candidates import Place
    from estimator.result import Estimate
    from hardware_db import Database, Offer

YEAR_H: Final = 365 * 24
WORTH: Final = 0.005
"""Changes below this share of time and cost are not told."""


@dataclass(frozen=True)
class Subject:
    """The recommendation, and what it is compared with."""

    place: Place
    row: Estimate
    works: tuple[Workload, ...]
    database: Database

    def saving(self, change: str, other: Estimate, note: str = "") -> Saving | None:
        """Return what another estimate takes more or less; None where it has no time or no cost."""
        if other.run_time is None or other.cost is None or self.row.run_time is None or self.row.cost is None:
            return None
        return Saving(change, other.run_time.mid - self.row.run_time.mid, other.cost.mid - self.row.cost.mid, note)

    def scaled(self, change: str, factor: float, note: str = "") -> Saving:
        """Return what a training step of `factor` times the length takes more or less."""
        assert self.row.whole and self.row.run_time and self.row.cost
        seconds = self.row.whole.seconds("training").mid * (factor - 1)
        return Saving(change, seconds, self.row.cost.mid * seconds / self.row.run_time.mid, note)

    def elsewhere(self, offer: Offer, count: int | None = None) -> Estimate:
        """Estimate the run on another offer."""
        return on_offer(self.place.work, self.database, offer, count or self.row.count)


def savings_of(place: Place, row: Estimate, works: tuple[Workload, ...], database: Database) -> tuple[Saving, ...]:
    """Return what each change does, the largest saving of dollars first; changes that do nothing are left out."""
    subject = Subject(place, row, works, database)
    found = []
    for change in CHANGES:
        try:
            found += [saving for saving in change(subject) if saving is not None and _matters(saving, row)]
        except FlopcastError:
            continue  # The change cannot be made here: a batch that does not divide, a model without layers.
    return tuple(sorted(found, key=lambda saving: saving.usd))


def _matters(saving: Saving, row: Estimate) -> bool:
    assert row.run_time and row.cost
    return abs(saving.seconds) > WORTH * row.run_time.mid or abs(saving.usd) > WORTH * row.cost.mid


def _compiled(subject: Subject) -> Iterator[Saving | None]:
    run = subject.place.work.run
    if subject.row.device.kind == "gpu" and not run.compiled:
        work = Workload(run.replace(compiled=True))
        yield subject.saving("torch.compile", on_offer(work, subject.database, subject.place.offer, subject.row.count))


def _channels_last(subject: Subject) -> Iterator[Saving | None]:
    work, replica = subject.place.work, subject.row.answer.replica
    if replica and work.may_be_channels_last(subject.row.device.logical_device(), replica.micro_batch_size):
        other = Workload(work.run.replace(channels_last=True))
        found = on_offer(other, subject.database, subject.place.offer, subject.row.count)
        yield subject.saving("images in channels last", found)


def _precision(subject: Subject) -> Iterator[Saving | None]:
    for work in subject.works:
        if work is not subject.place.work and subject.row.device.supports(work.run.precision):
            other = on_offer(work, subject.database, subject.place.offer, subject.row.count)
            yield subject.saving(f"precision {work.run.precision}", other)


def _batch(subject: Subject) -> Iterator[Saving | None]:
    run = subject.place.work.run
    work = Workload(run.replace(global_batch_size=2 * run.global_batch_size))
    other = on_offer(work, subject.database, subject.place.offer, subject.row.count)
    note = "the same tokens in half as many steps; the learning rate needs another setting"
    yield subject.saving(f"batch {2 * run.global_batch_size:,}", other, note)


def _counts(subject: Subject) -> Iterator[Saving | None]:
    """Half and twice the devices, on the cheapest machines of the same provider, region and pricing."""
    mine, count = subject.place.offer, subject.row.count
    for other in {2 * count, count // 2} - {0}:
        offers = [offer for offer in _alike(subject) if (offer.provider, offer.region) == (mine.provider, mine.region)]
        rows = [row for row in (subject.elsewhere(offer, other) for offer in offers) if row.cost]
        if rows and mine.provider != "own":
            yield subject.saving(
                f"{other} device{'s' if other > 1 else ''}", min(rows, key=lambda row: row.cost_usd or 0.0)
            )


def _spot(subject: Subject) -> Iterator[Saving | None]:
    offers = subject.database.offers(device=subject.row.device.id, pricing="spot")
    rows = [row for row in map(subject.elsewhere, offers) if row.cost]
    if rows and subject.place.offer.pricing != "spot":
        best = min(rows, key=lambda row: row.cost_usd or 0.0)
        stops = best.whole.stops.mid if best.whole else 0.0
        assert best.offer is not None
        yield subject.saving("spot", best, f"{best.offer.provider} {best.offer.region}, {stops:.2g} stops expected")


def _reserved(subject: Subject) -> Iterator[Saving | None]:
    """The same devices from a reservation that is used otherwise when the run is over."""
    offers = subject.database.offers(device=subject.row.device.id, pricing="reserved_1y")
    rows = [row for row in map(subject.elsewhere, offers) if row.cost]
    if rows and subject.place.offer.pricing in ("on_demand", "spot") and subject.place.offer.provider != "own":
        best = min(rows, key=lambda row: row.cost_usd or 0.0)
        assert best.offer is not None and best.rental is not None
        year = format_usd(best.rental.usd_per_hour * YEAR_H)
        note = f"{best.offer.provider} {best.offer.region}, if the machines are used all year: {year}"
        yield subject.saving("reserved for 1 year", best, note)


def _region(subject: Subject) -> Iterator[Saving | None]:
    """The same devices where electricity is greenest."""
    offers = [offer for offer in _alike(subject) if offer.device_count <= subject.row.count] or _alike(subject)
    greenest = min(offers, key=lambda offer: (grams_and_effectiveness(offer)[0], offer.usd_per_hour), default=None)
    if greenest is None or subject.place.offer.provider == "own":
        return
    theirs, ours = grams_and_effectiveness(greenest)[0], grams_and_effectiveness(subject.place.offer)[0]
    if theirs < ours:
        note = f"{theirs:,.0f} instead of {ours:,.0f} g of CO2 equivalent a kWh"
        yield subject.saving(f"{greenest.provider} {greenest.region}", subject.elsewhere(greenest), note)


def _memory_settings(subject: Subject) -> Iterator[Saving | None]:
    """Checkpointing and LoRA, by the time of a step on one device; no adapters where weights are frozen already."""
    profile, replica = subject.place.work.run.profile, subject.row.answer.replica
    if replica is None or replica.zero_stage:
        return
    costs = Costs(subject.place.work.at(replica.micro_batch_size), subject.row.device.logical_device())
    usual = costs.seconds(MemorySettings())
    ways = [("full activation checkpointing", MemorySettings(checkpointing="full"), "not needed: it fits without")]
    if profile.trainable_parameters == profile.parameters:
        adapters = "adapters alone are trained: fine-tuning only"
        ways.append((f"LoRA rank {LORA_RANK}", MemorySettings(lora_rank=LORA_RANK), adapters))
    for label, settings, note in ways:
        other = costs.seconds(settings)
        if usual is not None and other is not None:
            yield subject.scaled(label, other.mid / usual.mid, note)


def _alike(subject: Subject) -> list[Offer]:
    pricing = subject.place.offer.pricing
    return list(subject.database.offers(device=subject.row.device.id, pricing=pricing))


CHANGES: Final[tuple[Callable[[Subject], Iterator[Saving | None]], ...]] = (
    _compiled,
    _channels_last,
    _precision,
    _batch,
    _counts,
    _spot,
    _reserved,
    _region,
    _memory_settings,
)
