"""Training once and serving for years: what both cost, and from when on serving costs more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hardware_db.errors import UsageError

DAYS_PER_MONTH: Final = 365.25 / 12


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Dollars of a model over its life.

    Attributes
    ----------
    training_usd, serving_usd
        over the whole life
    months_until_equal
        until serving has cost as much as training; None: longer than the life
    devices
        that serve, whole ones
    """

    training_usd: float
    serving_usd: float
    months_until_equal: float | None
    devices: int

    @property
    def total_usd(self) -> float:
        """Both."""
        return self.training_usd + self.serving_usd


def lifetime_of(training_usd: float, hourly_usd: float, per_s: float, per_day: float, months: float) -> Lifetime:
    """Return what training and serving cost over a life.

    Parameters
    ----------
    training_usd
        of one training
    hourly_usd
        of one device that serves [USD/h]
    per_s
        predictions or tokens that it gives a second
    per_day
        predictions or tokens that are asked for a day; whole devices run day and night
    months
        the life

    Raises
    ------
    UsageError
        a figure that is not above zero

    Examples
    --------
    >>> lifetime_of(1000.0, 1.0, 100.0, 86400 * 150.0, 12).devices
    2
    """
    given = {"hourly_usd": hourly_usd, "per_s": per_s, "per_day": per_day, "months": months}
    for name, value in given.items():
        if not value > 0:
            raise UsageError(f"{name} must be above 0; given: {value:g}")
    devices = math.ceil(per_day / (per_s * 86400))
    monthly = devices * hourly_usd * 24 * DAYS_PER_MONTH
    equal = training_usd / monthly
    return Lifetime(training_usd, monthly * months, equal if equal <= months else None, devices)
