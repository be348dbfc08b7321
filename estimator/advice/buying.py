"""Buy or rent: what an hour of a bought device costs, and from which month and utilisation on buying is cheaper.

    own hour = (price + host - resale) / hours worked in its life + electricity + hosting / hours worked in a month

Both sides do the same work: renting pays only the hours that are worked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from estimator.advice.carbon import USUAL_EFFECTIVENESS
from estimator.advice.own import electricity_usd_per_kwh
from estimator.energy import USUAL_SHARE
from hardware_db.errors import DataError, NoPrice, UsageError
from hardware_db.market import purchase_price

if TYPE_CHECKING:
    from hardware_db import Database, Device, Offer

HOURS_PER_MONTH: Final = 730.0
MONTHS_PER_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Purchase:
    """What buying one device rests on.

    Attributes
    ----------
    usd
        price of the device; None: the newest published one
    host_usd
        its share of a host and network; the published price of a bare card has none
    life_years, resale_share
        how long it is kept, and what of the price it is sold for then
    utilisation
        share of all hours in which it works, 0 to 1
    effectiveness
        power usage effectiveness of where it stands
    usd_per_kwh
        electricity; None: the world's price for businesses
    hosting_usd_per_month
        space, hands and traffic
    """

    usd: float | None = None
    host_usd: float = 0.0
    life_years: float = 4.0
    resale_share: float = 0.2
    utilisation: float = 0.5
    effectiveness: float = USUAL_EFFECTIVENESS
    usd_per_kwh: float | None = None
    hosting_usd_per_month: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise UsageError(f"utilisation must be above 0 and at most 1; given: {self.utilisation:g}")
        if not 0 <= self.resale_share < 1:
            raise UsageError(f"resale_share must be 0 or more and below 1; given: {self.resale_share:g}")
        for name in ("usd", "life_years", "effectiveness"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0; given: {value:g}")

    @property
    def life_months(self) -> float:
        """How long it is kept."""
        return self.life_years * MONTHS_PER_YEAR


@dataclass(frozen=True, slots=True)
class BuyOrRent:
    """One device bought, beside the cheapest offer of it.

    Attributes
    ----------
    price_usd, price_source
        of the device, and who says so
    own_usd_per_hour
        of an hour that it works, everything spread over the hours that it works in its life
    running_usd_per_hour
        electricity of an hour that it works
    offer, rent_usd_per_hour
        the cheapest offer, and what one device of it costs an hour
    break_even_month
        from which month on buying has cost less, unsold; None: not within its life
    break_even_utilisation
        share of all hours above which buying is cheaper over its life; None: not even at all hours
    """

    device: Device
    purchase: Purchase
    price_usd: float
    price_source: str
    own_usd_per_hour: float
    running_usd_per_hour: float
    offer: Offer
    rent_usd_per_hour: float
    break_even_month: float | None
    break_even_utilisation: float | None

    @property
    def buy(self) -> bool:
        """Whether buying is cheaper at the utilisation that was given."""
        return self.own_usd_per_hour < self.rent_usd_per_hour

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        names = ("price_usd", "price_source", "own_usd_per_hour", "running_usd_per_hour", "rent_usd_per_hour")
        more = ("break_even_month", "break_even_utilisation", "buy")
        return {
            "device": self.device.id,
            **{name: getattr(self, name) for name in (*names, *more)},
            "provider": self.offer.provider,
            "region": self.offer.region,
            "pricing": self.offer.pricing,
            "price_as_of": self.offer.as_of,
            "purchase": self.purchase,
        }


def buy_or_rent(device: Device, database: Database, purchase: Purchase, pricing: str = "on_demand") -> BuyOrRent:
    """Compare buying one device with the cheapest offer of it.

    Raises
    ------
    DataError
        no purchase price is published and none is given, or the rated power is unknown
    NoPrice
        nobody rents it out
    """
    price, source = _price(device, purchase)
    if device.tdp_w is None:
        raise DataError(f"No rated power of {device.id} is known, so nobody can say what running it costs")
    offers = database.offers(device=device.id, pricing=pricing)
    if not offers:
        raise NoPrice(f"Nobody rents out {device.id} ({pricing.replace('_', ' ')}): there is nothing to compare with")
    offer = min(offers, key=lambda each: each.usd_per_device_hour)
    kilowatts = device.tdp_w * USUAL_SHARE.mid / 1000
    running = kilowatts * purchase.effectiveness * electricity_usd_per_kwh(purchase.usd_per_kwh)
    saved = offer.usd_per_device_hour - running
    return BuyOrRent(
        device=device,
        purchase=purchase,
        price_usd=price,
        price_source=source,
        own_usd_per_hour=running + _fixed_per_month(price, purchase) / (HOURS_PER_MONTH * purchase.utilisation),
        running_usd_per_hour=running,
        offer=offer,
        rent_usd_per_hour=offer.usd_per_device_hour,
        break_even_month=_break_even_month(price, purchase, saved),
        break_even_utilisation=_break_even_utilisation(price, purchase, saved),
    )


def _price(device: Device, purchase: Purchase) -> tuple[float, str]:
    if purchase.usd is not None:
        return purchase.usd, "given"
    found = purchase_price(device.id)
    if found is None:
        raise DataError(f"No price to buy {device.id} is known. Give your quote: --quote 30000")
    return found.usd_per_device, f"{found.price_type} price of {found.as_of} as {found.sold_as} ({found.source})"


def _fixed_per_month(price: float, purchase: Purchase) -> float:
    """What a month costs whether it works or not, the resale taken off."""
    lost = price * (1 - purchase.resale_share) + purchase.host_usd
    return lost / purchase.life_months + purchase.hosting_usd_per_month


def _break_even_month(price: float, purchase: Purchase, saved_per_hour: float) -> float | None:
    saved = saved_per_hour * HOURS_PER_MONTH * purchase.utilisation - purchase.hosting_usd_per_month
    if saved <= 0:
        return None
    months = (price + purchase.host_usd) / saved
    return math.ceil(months) if months <= purchase.life_months else None


def _break_even_utilisation(price: float, purchase: Purchase, saved_per_hour: float) -> float | None:
    if saved_per_hour <= 0:
        return None
    share = _fixed_per_month(price, purchase) / (saved_per_hour * HOURS_PER_MONTH)
    return share if share <= 1 else None
