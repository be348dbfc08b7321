"""How old prices are: past a month they are shown with a warning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from hardware_db.records import Offer

OLD_PRICE_DAYS = 30


def old_prices(offers: Iterable[Offer], today: date | None = None) -> tuple[str, ...]:
    """Return a sentence that says how many of these prices are older than `OLD_PRICE_DAYS`; nothing if none is."""
    ages = [offer.age_days(today) for offer in offers]
    old = [age for age in ages if age > OLD_PRICE_DAYS]
    if not old:
        return ()
    said = f"{len(old)} of {len(ages)} prices are older than {OLD_PRICE_DAYS} days, the oldest {max(old)} days"
    if len(ages) == 1:
        said = f"The price is {old[0]} days old"
    return (f"{said}. Newer ones: flopcast prices refresh",)
