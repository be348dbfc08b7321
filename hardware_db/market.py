"""Besides rented machines: free tiers with their limits, and what cards, kits and servers cost to buy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal, TypeVar

from hardware_db.devices import read_basis
from hardware_db.records import PRICINGS, Basis, Pricing
from hardware_db.tables import Row, day, number, records

PriceType = Literal["launch", "list", "street", "estimate"]
PRICE_TYPES: tuple[PriceType, ...] = ("launch", "list", "street", "estimate")
SoldAs = Literal["device", "kit", "server"]
SOLD_AS: tuple[SoldAs, ...] = ("device", "kit", "server")

Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True, slots=True)
class FreeTier:
    """A notebook service: a device for a session of limited length, free or by the hour.

    `session_limit_h` is the longest session and `weekly_quota_h` the hours a week [h]; None where none is stated. No
    service guarantees that the device is to be had.
    """

    service: str
    plan: str
    device: str
    device_count: int
    pricing: Pricing
    usd_per_hour: float
    session_limit_h: float | None
    weekly_quota_h: float | None
    as_of: date
    basis: Basis
    source: str
    note: str

    def sessions_for(self, run_time_s: float) -> int | None:
        """Return how many sessions a run of this length needs; None where no limit is stated."""
        if self.session_limit_h is None:
            return None
        return max(1, -int(-run_time_s // (self.session_limit_h * 3600)))

    def weeks_for(self, run_time_s: float) -> float | None:
        """Return how many weeks of quota a run of this length uses up; None where no quota is stated."""
        return None if self.weekly_quota_h is None else run_time_s / 3600 / self.weekly_quota_h


@dataclass(frozen=True, slots=True)
class PurchasePrice:
    """What a card, a kit or a server costs to buy: `usd` for `devices` devices together."""

    device: str
    sold_as: SoldAs
    devices: int
    usd: float
    price_type: PriceType
    as_of: date
    basis: Basis
    source: str
    note: str

    @property
    def usd_per_device(self) -> float:
        """Price over the devices in it [USD]."""
        return self.usd / self.devices


@cache
def free_tiers() -> tuple[FreeTier, ...]:
    """Return all free tiers and notebook services."""
    return records("free_tiers.csv", _free_tier)


@cache
def purchase_prices() -> tuple[PurchasePrice, ...]:
    """Return all purchase prices; the newest of a device comes last."""
    found = records("purchase_prices.csv", _purchase_price)
    return tuple(sorted(found, key=lambda price: (price.device, price.as_of)))


def purchase_price(device: str) -> PurchasePrice | None:
    """Return the newest purchase price of a device (its id), or None."""
    return next((price for price in reversed(purchase_prices()) if price.device == device), None)


def _free_tier(row: Row) -> FreeTier:
    return FreeTier(
        service=row["service"],
        plan=row["plan"],
        device=row["device"],
        device_count=int(row["device_count"]),
        pricing=_choice(PRICINGS, row["pricing"]),
        usd_per_hour=float(row["usd_per_hour"]),
        session_limit_h=number(row["session_limit_h"]),
        weekly_quota_h=number(row["weekly_quota_h"]),
        as_of=day(row["as_of"]),
        basis=read_basis(row["basis"]),
        source=row["source"],
        note=row["note"],
    )


def _purchase_price(row: Row) -> PurchasePrice:
    return PurchasePrice(
        device=row["device"],
        sold_as=_choice(SOLD_AS, row["sold_as"]),
        devices=int(row["devices"]),
        usd=float(row["usd"]),
        price_type=_choice(PRICE_TYPES, row["price_type"]),
        as_of=day(row["as_of"]),
        basis=read_basis(row["basis"]),
        source=row["source"],
        note=row["note"],
    )


def _choice(known: tuple[Choice, ...], text: str) -> Choice:
    if text not in known:
        raise ValueError(f"{text!r} is none of {', '.join(known)}")
    return text
