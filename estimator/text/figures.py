"""Figures in a column whose header names the unit: three significant digits, a dash where nothing is known."""

from __future__ import annotations

from estimator.text.table import MISSING

ESTIMATED = "~"
"""Stands before a figure that nobody published: an estimate, said to be one."""


def figure(value: float | None, unit: float = 1.0, *, estimated: bool = False) -> str:
    """Return `value` in units of `unit` with three significant digits: 80e9 in 1e9 is "80", 3.35e12 is "3,350".

    >>> figure(989.4e12, 1e12), figure(1.5e9, 1e9), figure(None), figure(32e9, 1e9, estimated=True)
    ('989', '1.5', '-', '~32')
    """
    if value is None:
        return MISSING
    rounded = float(f"{value / unit:.3g}")
    text = f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"
    return f"{ESTIMATED}{text}" if estimated else text


def figure_span(low: float, high: float, unit: float = 1.0) -> str:
    """Return a range without its unit: "2.6-4.1", "25-39"; one figure where both ends look the same."""
    first, last = figure(low, unit), figure(high, unit)
    return first if first == last else f"{first}-{last}"
