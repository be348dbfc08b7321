"""Which devices `flopcast hardware` lists, and in which order."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from estimator.cli.quantities import read_as
from hardware_db.errors import QuantityError, UsageError, one_line

if TYPE_CHECKING:
    from hardware_db import Database, Device, Offer

_YEARS = re.compile(r"(?P<only>\d{4})|(?P<first>\d{4})?\.\.(?P<last>\d{4})?")


def read_years(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read a year or an open or closed range of years: 2022, 2020..2022, 2022.., ..2019."""
    if text is None:
        return None
    match = _YEARS.fullmatch(text)
    if match is None or text == "..":
        raise UsageError(
            f"--year {one_line(text)}: give a year or a range, for example 2022, 2020..2022, 2022.. or ..2019"
        )
    if match["only"]:
        return int(match["only"]), int(match["only"])
    first, last = int(match["first"] or 0), int(match["last"] or 9999)
    if last < first:
        raise UsageError(f"--year {one_line(text)} ends before it begins. Did you mean {last}..{first}?")
    return first, last


def read_memory(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Read an amount of memory with its unit; a bare number would be bytes, which nobody means."""
    if text is not None and (number := text.strip()).replace(".", "", 1).isdecimal():
        raise QuantityError(f"{parameter.opts[0]} {number}: {number} what? {number}GB or {number}GiB")
    amount: int | None = read_as("bytes")(context, parameter, text)
    return amount


@dataclass(frozen=True, slots=True)
class Filters:
    """What a device must be; a device without the figure asked for is not taken."""

    kind: str | None = None
    vendor: str | None = None
    min_memory: int | None = None
    precision: str | None = None
    years: tuple[int, int] | None = None

    def check(self, database: Database) -> None:
        """Refuse a vendor that no device has.

        Raises
        ------
        UsageError
            The message lists close vendors and all of them.
        """
        vendors = sorted({device.vendor for device in database.devices()}, key=str.casefold)
        if self.vendor is None or self.vendor.casefold() in map(str.casefold, vendors):
            return
        spelled = {vendor.casefold(): vendor for vendor in vendors}
        close = difflib.get_close_matches(self.vendor.casefold(), spelled, n=2)
        hint = f"Did you mean {', '.join(spelled[name] for name in close)}? " if close else ""
        raise UsageError(f"No device here is made by --vendor {self.vendor!r}. {hint}Vendors: {', '.join(vendors)}")

    def take(self, device: Device) -> bool:
        """Whether a device passes all of them."""
        return (
            self.kind in (None, device.kind)
            and (self.vendor is None or self.vendor.casefold() == device.vendor.casefold())
            and (self.min_memory is None or (device.memory_bytes or 0) >= self.min_memory)
            and (self.precision is None or device.supports(self.precision))
            and self._in_years(device)
        )

    def _in_years(self, device: Device) -> bool:
        if self.years is None:
            return True
        return device.release_date is not None and self.years[0] <= device.release_date.year <= self.years[1]


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The cheapest offer of a device, and what one whole device costs an hour by it."""

    offer: Offer
    usd_per_hour: float


Offers = Mapping[str, Cheapest]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What devices are compared by: their cheapest offers, and the precision asked for (None: that of training)."""

    offers: Offers
    precision: str | None = None

    def usd_per_hour(self, device: Device) -> float | None:
        """Return the cheapest price of one whole device for an hour, None where there is no offer."""
        return self.offers[device.id].usd_per_hour if device.id in self.offers else None

    def peak(self, device: Device) -> float | None:
        """Return the dense peak in the precision asked for [FLOP/s], None where nobody publishes one."""
        if self.precision is None:
            return training_peak(device)
        return device.peak_flops_per_s(self.precision) if device.supports(self.precision) else None

    def usd_per_hour_per_pflops(self, device: Device) -> float | None:
        """Return what one PFLOP/s of that peak costs an hour [USD]."""
        price, peak = self.usd_per_hour(device), self.peak(device)
        return price / (peak / 1e15) if price is not None and peak else None


def cheapest_offers(database: Database) -> dict[str, Cheapest]:
    """Return the cheapest current on-demand offer of each device, by the price of one whole device for an hour."""
    found: dict[str, Cheapest] = {}
    for offer in database.offers(pricing="on_demand"):
        price = database.usd_per_whole_device_hour(offer)
        if offer.device not in found or price < found[offer.device].usd_per_hour:
            found[offer.device] = Cheapest(offer, price)
    return found


def training_peak(device: Device) -> float | None:
    """Return the dense peak that training uses [FLOP/s]: the better 16-bit one, else float32."""
    halves = [device.peak_flops_per_s(name) for name in ("bfloat16", "float16") if device.supports(name)]
    if halves:
        return max(halves)
    return device.peak_flops_per_s("float32") if device.supports("float32") else None


def _year(_ranking: Ranking, device: Device) -> float | None:
    return device.release_date.toordinal() if device.release_date else None


Key = Callable[[Ranking, "Device"], float | None]
SORTS: Mapping[str, tuple[Key, int]] = {
    "memory": (lambda _, device: device.memory_bytes, -1),
    "bandwidth": (lambda _, device: device.memory_bandwidth_bytes_per_s, -1),
    "peak": (Ranking.peak, -1),
    "year": (_year, -1),
    "price": (Ranking.usd_per_hour, 1),
    "price-per-pflop": (Ranking.usd_per_hour_per_pflops, 1),
}
"""Name of an order -> figure and direction (-1: largest first)."""


def in_order(devices: Sequence[Device], sort: str | None, ranking: Ranking) -> list[Device]:
    """Return the devices best first by the named figure, those without it last; as they came where none is named."""
    if sort is None:
        return list(devices)
    key, direction = SORTS[sort]
    values = {device.id: key(ranking, device) for device in devices}
    known = [device for device in devices if values[device.id] is not None]
    known.sort(key=lambda device: direction * (values[device.id] or 0))
    return known + [device for device in devices if values[device.id] is None]
