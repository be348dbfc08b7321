"""How sure a price is: published on a day, asked for on another, and some move from hour to hour."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from estimator.ranges import Range
from estimator.whole_run.assumptions import assumption

if TYPE_CHECKING:
    from hardware_db import Offer

YEAR_DAYS: Final = 365.0
SAME: Final = Range.exactly(1.0)


def price_spread(offer: Offer, today: date | None = None) -> Range:
    """Return what a price has become of 1 since it was published: 80 % of cases.

    Prices of one machine drift as a random walk does, with the square root of the time; spot machines and marketplaces
    change from day to day besides. What was published today, or given by the user, is what it says.
    """
    moving = offer.pricing == "spot" or offer.kind == "marketplace"
    return _spread(max(0, ((today or date.today()) - offer.as_of).days), moving)


@lru_cache(maxsize=4096)
def _spread(age_days: int, moving: bool) -> Range:
    yearly, root = assumption("price_drift").range, (age_days / YEAR_DAYS) ** 0.5
    drifted = Range(yearly.low**root, 1.0, yearly.high**root)
    return drifted.times_independent(assumption("price_moving").range) if moving else drifted
