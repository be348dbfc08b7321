"""Figures in a column whose header names the unit: three significant digits, a dash where nothing is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from estimator.text.table import MISSING

if TYPE_CHECKING:
    from estimator.ranges import Range

ESTIMATED = "~"
"""Stands before a figure that nobody published: an estimate, said to be one."""

Scale = tuple[tuple[float, float, str], ...]
DURATION: Scale = (
    (365.25 * 86400, 365.25 * 86400, " years"),
    (86400, 86400, " d"),
    (3600, 3600, " h"),
    (60, 60, " min"),
    (1, 1, " s"),
    (1e-3, 1e-3, " ms"),
    (0, 1e-6, " µs"),
)
MONEY: Scale = ((1e9, 1e9, " B"), (1e6, 1e6, " M"), (1e5, 1e3, " k"), (0, 1, ""))
"""From which value on, in which factor, how the unit is written."""


def figure(value: float | None, unit: float = 1.0, *, estimated: bool = False) -> str:
    """Return `value` in units of `unit` with three significant digits.

    >>> figure(989.4e12, 1e12), figure(3.35e12, 1e9), figure(1.5e9, 1e9), figure(None), figure(32.0, estimated=True)
    ('989', '3,350', '1.5', '-', '~32')
    """
    if value is None:
        return MISSING
    rounded = float(f"{value / unit:.3g}")
    text = f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.4f}".rstrip("0").rstrip(".")
    if rounded and abs(rounded) < 0.01:
        text = f"{rounded:.3g}"
    return f"{ESTIMATED}{text}" if estimated else text


def published(value: float | None, unit: float = 1.0, *, estimated: bool = False) -> str:
    """Return a datasheet's figure in units of `unit` as datasheets print them: four digits, whole ones all.

    >>> published(989.4e12, 1e12), published(1978.9e12, 1e12), published(3.35e12, 1e9), published(None), published(0.5)
    ('989.4', '1,979', '3,350', '-', '0.5')
    """
    if value is None:
        return MISSING
    amount = value / unit
    digits = max(0, 3 - math.floor(math.log10(abs(amount)))) if amount else 0
    text = f"{amount:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{ESTIMATED}{text}" if estimated else text


def price(value: float | None, *, estimated: bool = False) -> str:
    """Return a price per hour in cents; below a dollar in tenths of a cent where there are any.

    `estimated` marks the price of a machine whose device is a guess.

    >>> price(2.0), price(0.526), price(0.8), price(1234.5), price(None), price(2.0, estimated=True)
    ('2.00', '0.526', '0.80', '1,234.50', '-', '~2.00')
    """
    if value is None:
        return MISSING
    text = f"{value:,.2f}" if value >= 1 or f"{value:.3f}".endswith("0") else f"{value:.3f}"
    return f"{ESTIMATED}{text}" if estimated else text


def span(spread: Range | None, scale: Scale) -> tuple[str, str]:
    """Return a range as its middle with a unit and its ends in that same unit: ("9.80 h", "9.3-10").

    >>> from estimator.ranges import Range
    >>> span(Range(33480, 35280, 37080), DURATION)
    ('9.80 h', '9.3-10')
    """
    if spread is None:
        return MISSING, MISSING
    factor, unit = next((factor, unit) for least, factor, unit in scale if spread.mid >= least)
    return three_digits(spread.mid / factor) + unit, _ends(spread.low / factor, spread.high / factor)


def three_digits(value: float) -> str:
    """Return a computed figure: 9.8 as "9.80", 31.42 as "31.4", 1234 as "1,230".

    >>> three_digits(9.8), three_digits(31.42), three_digits(1234), three_digits(0.05)
    ('9.80', '31.4', '1,230', '0.0500')
    """
    rounded = float(f"{value:.3g}")
    digits = 2 - math.floor(math.log10(abs(rounded))) if rounded else 0
    return f"{rounded:,.{max(0, digits)}f}"


def _ends(low: float, high: float) -> str:
    """Write both ends with two digits; with three where two do not tell them apart or would round a whole number."""
    short = [float(f"{end:.2g}") for end in (low, high)]
    close = short[0] == short[1] or high >= 100
    first, last = (figure(end) for end in ((low, high) if close else short))
    return first if first == last else f"{first}-{last}"


def share(value: float | None) -> str:
    """Return a ratio as a percentage with two digits: 0.413 as "41 %", 0.0042 as "0.42 %"."""
    return MISSING if value is None else f"{two_digits(value * 100)} %"


def two_digits(value: float | None, unit: float = 1.0) -> str:
    """Return a figure that only has to tell the size: 71.3 as "71", 0.678 as "0.68", 412.4 as "412"."""
    if value is None or value / unit >= 100:
        return figure(value, unit)
    return figure(float(f"{value / unit:.2g}"))
