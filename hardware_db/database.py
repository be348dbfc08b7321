"""The hardware database: read the published tables once, answer by exact name."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.devices import read_basis, read_devices, read_source
from hardware_db.errors import AmbiguousDevice, UnknownDevice, UsageError
from hardware_db.naming import Names
from hardware_db.places import machine_named
from hardware_db.records import OFFER_KINDS, PRICINGS, Device, Offer, OfferKind, Source, System
from hardware_db.tables import Row, day, number, records, words

if TYPE_CHECKING:
    import pandas as pd

    from hardware_db.own import Own

#: Prices before this day are history: they answer "what did it cost", not "what does it cost".
CURRENT_SINCE = date(2026, 4, 1)
#: Offers of a whole machine; the others leave out the host, or are the cheapest bid on a market.
CURRENT_KINDS: tuple[OfferKind, ...] = ("vm", "tpu")


@dataclass(frozen=True)
class Database:
    """Devices, systems and offers; all published unless a user's own were added."""

    devices_by_id: Mapping[str, Device]
    own_offers: tuple[Offer, ...] | None = None
    own_systems: tuple[System, ...] = ()

    @cached_property
    def names(self) -> Names:
        """The index from ids, names and aliases to devices."""
        return Names.of(
            (name, device.id)
            for device in self.devices_by_id.values()
            for name in (device.id, device.name, *device.aliases)
        )

    @cached_property
    def all_offers(self) -> tuple[Offer, ...]:
        """Every dated offer, old ones and incomplete ones included."""
        return read_offers() if self.own_offers is None else self.own_offers

    @cached_property
    def current_offers(self) -> tuple[Offer, ...]:
        """Offers of whole machines since `CURRENT_SINCE`; of several prices of one machine the newest."""
        newest: dict[tuple[str, ...], Offer] = {}
        for offer in self.all_offers:
            if offer.as_of >= CURRENT_SINCE and offer.kind in CURRENT_KINDS:
                key = (offer.provider, offer.instance, offer.region, offer.pricing)
                if key not in newest or offer.as_of >= newest[key].as_of:
                    newest[key] = offer
        return tuple(newest.values())

    @cached_property
    def systems(self) -> tuple[System, ...]:
        """The hosts: devices per host, links, host CPU and memory; a user's own first, in the place of their ids."""
        own = {system.id for system in self.own_systems}
        return (*self.own_systems, *(system for system in read_systems() if system.id not in own))

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """What the source keys of the figures stand for."""
        return {source.key: source for source in records("sources.csv", read_source)}

    def device(self, name: str) -> Device:
        """Return the device with this id, name or alias (spelling of case, hyphens and "(R)" is free).

        Raises
        ------
        AmbiguousDevice, UnknownDevice
            Several devices bear the name, or none; the message lists them or close ones, or says which device the
            machine of that name has.
        UsageError
            It is no text: None, a number.
        """
        with self._machines_named(_text(name)):
            return self.devices_by_id[self.names.resolve(name)]

    def match(self, pattern: str) -> tuple[Device, ...]:
        """Return the devices that a comma list of names and glob patterns on ids takes: ``"a100-*,tpu-v5e"``."""
        with self._machines_named(_text(pattern)):
            return tuple(self.devices_by_id[id] for id in self.names.match(pattern))

    @contextmanager
    def _machines_named(self, text: str) -> Iterator[None]:
        """Say of an unknown name that is a machine's which device that machine has."""
        try:
            yield
        except AmbiguousDevice:
            raise
        except UnknownDevice as error:
            said = next((said for part in text.split(",") if (said := machine_named(self, part.strip()))), None)
            raise (UnknownDevice(said) if said else error) from None

    def devices(self, kind: str | None = None, vendor: str | None = None) -> tuple[Device, ...]:
        """Return all devices, of one kind ("gpu") or one vendor ("AMD", case does not matter)."""
        return tuple(
            device
            for device in self.devices_by_id.values()
            if kind in (None, device.kind) and (vendor is None or vendor.casefold() == device.vendor.casefold())
        )

    def offers(
        self,
        device: str | None = None,
        provider: str | None = None,
        region: str | None = None,
        pricing: str | None = None,
        *,
        history: bool = False,
    ) -> tuple[Offer, ...]:
        """Return the offers that can be taken now: whole machines, prices since `CURRENT_SINCE`, cheapest device first.

        `device` is any name; the others are exact. `history=True` adds older prices, market bids and bare accelerators.
        """
        wanted = {"provider": provider, "region": region, "pricing": _pricing(pricing)}
        id = None if device is None else self.names.resolve(device)
        found = [
            offer
            for offer in (self.all_offers if history else self.current_offers)
            if (id is None or offer.device == id)
            and all(value is None or getattr(offer, name) == value for name, value in wanted.items())
        ]
        return tuple(sorted(found, key=lambda offer: (offer.usd_per_device_hour, offer.provider, offer.instance)))

    def device_of(self, offer: Offer) -> Device:
        """Return ONE of the devices that an offer rents out, in its machine; there are `offer.device_count` of them.

        For a CPU machine that is the rented part: the socket's figures times `offer.cores` over the socket's cores,
        with the machine's memory. A socket's memory bandwidth is shared by its tenants, so it is scaled as well.
        An accelerator gets the links of its machine where `systems.csv` has it: a p4d has a quarter of a DGX's network.
        """
        device = self.devices_by_id[offer.device]
        if device.kind == "cpu" and offer.cores is not None and device.compute_units is not None:
            return device.fraction(offer.cores / device.compute_units, memory_bytes=offer.memory_bytes)
        system = self.system_of(offer)
        return device if system is None else device.within(system)

    def usd_per_whole_device_hour(self, offer: Offer) -> float:
        """Return the price of ONE whole device for an hour: of a CPU that of all its cores, if part of it is rented."""
        cores = self.devices_by_id[offer.device].compute_units
        if offer.cores is None or cores is None:
            return offer.usd_per_device_hour
        return offer.usd_per_device_hour * cores / offer.cores

    def whole_device_offers(self, device: str) -> tuple[Offer, ...]:
        """Return the current offers of a device, the cheapest by the price of one whole device first."""
        return tuple(sorted(self.offers(device), key=self.usd_per_whole_device_hour))

    def system_of(self, offer: Offer) -> System | None:
        """Return the host that an offer's instance is known to be, by its name or a pattern of names, or None."""
        known = self._systems_by_instance
        if offer.instance in known:
            return known[offer.instance]
        return next((known[name] for name in self._patterns if fnmatch.fnmatchcase(offer.instance, name)), None)

    @cached_property
    def _systems_by_instance(self) -> Mapping[str, System]:
        return {instance: system for system in reversed(self.systems) for instance in system.instances}

    @cached_property
    def _patterns(self) -> tuple[str, ...]:
        return tuple(name for name in self._systems_by_instance if "*" in name)

    def own_system(self, device: str) -> System | None:
        """Return the user's own machine with this device (its id), the first of several; None where there is none."""
        return next((system for system in self.own_systems if system.device == device), None)

    def with_own(self, own: Own) -> Database:
        """Return a database with a user's devices and systems added; one with a known id takes its place."""
        ids = {system.id for system in own.systems}
        kept = (system for system in self.own_systems if system.id not in ids)
        return replace(self.with_devices(own.devices), own_systems=(*own.systems, *kept))

    def with_devices(self, devices: Iterable[Device]) -> Database:
        """Return a database with these devices added; one with a known id takes its place."""
        return replace(self, devices_by_id={**self.devices_by_id, **{device.id: device for device in devices}})

    def with_offers(self, offers: Iterable[Offer]) -> Database:
        """Return a database with these offers added to its own."""
        return replace(self, own_offers=(*self.all_offers, *offers))

    def devices_frame(self) -> pd.DataFrame:
        """Return one row a device, units in the column names."""
        from hardware_db.frames import devices_frame

        return devices_frame(self)

    def offers_frame(self) -> pd.DataFrame:
        """Return one row an offer of the current view, with the price per device hour."""
        from hardware_db.frames import offers_frame

        return offers_frame(self)


def _pricing(text: str | None) -> str | None:
    if text is None:
        return None
    name = text.replace("-", "_").casefold()
    if name not in PRICINGS:
        raise UsageError(f"{text!r} is no pricing. Try {', '.join(PRICINGS)}")
    return name


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise UsageError(f"A device is asked for by its name, not by {name!r}. Names: Database.devices() lists them")
    return name


def load(devices_file: Path | str | None = None) -> Database:
    """Return the hardware database; the published tables are read once.

    `devices_file` adds a user's own devices and systems (TOML, see `hardware_db.own`) on top of the published ones.
    Prices and devices that the command knows beside them are in `hardware_db.load_here().database`.
    """
    if devices_file is None:
        return _published()
    from hardware_db.own import read_own

    return _published().with_own(read_own(Path(devices_file), _published()))


@cache
def _published() -> Database:
    return Database({device.id: device for device in read_devices()})


def read_offer(row: Row) -> Offer:
    """Build an offer from a row of `offers.csv`."""
    pricing, kind = row["pricing"], row["kind"]
    if pricing not in PRICINGS or kind not in OFFER_KINDS:
        raise ValueError(f"{pricing!r} is no pricing or {kind!r} no kind of offer")
    memory_gib = number(row["memory_gib"])
    return Offer(
        provider=row["provider"],
        instance=row["instance"],
        region=row["region"],
        device=row["device"],
        device_count=int(row["device_count"]),
        vcpus=number(row["vcpus"]),
        cores=number(row["cores"]),
        memory_bytes=None if memory_gib is None else round(memory_gib * 2**30),
        pricing=pricing,
        usd_per_hour=float(row["usd_per_hour"]),
        as_of=day(row["as_of"]),
        source=row["source"],
        kind=kind,
        basis=read_basis(row["basis"]),
        note=row["note"],
    )


@cache
def read_offers() -> tuple[Offer, ...]:
    """Build all published offers."""
    return records("offers.csv", read_offer)


def _read_system(row: Row) -> System:
    gb_per_s: dict[str, Any] = {name: number(row[f"{name}_gb_per_s"]) for name in ("scale_up", "scale_out")}
    memory_gib = number(row["host_memory_gib"])
    return System(
        id=row["id"],
        name=row["name"],
        device=row["device"],
        devices_per_host=int(row["devices_per_host"]),
        scale_up_devices=int(row["scale_up_devices"]),
        topology=row["topology"],
        scale_up_bytes_per_s=None if gb_per_s["scale_up"] is None else gb_per_s["scale_up"] * 1e9,
        scale_out_bytes_per_s=None if gb_per_s["scale_out"] is None else gb_per_s["scale_out"] * 1e9,
        host_cpu=row["host_cpu"],
        host_memory_bytes=None if memory_gib is None else round(memory_gib * 2**30),
        instances=words(row["instances"]),
        basis=read_basis(row["basis"]),
        sources=words(row["source"]),
        retrieved=day(row["retrieved"]),
        note=row["note"],
    )


@cache
def read_systems() -> tuple[System, ...]:
    """Build all published systems."""
    return records("systems.csv", _read_system)
