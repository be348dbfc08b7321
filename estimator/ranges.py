"""A quantity as a range: low, middle and high. Every computed number of flopcast is one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Range:
    """Three values of one quantity in one unit, low <= mid <= high.

    The causes of the spread are shared (a device slower than expected is slower at every operation), so ranges add
    end by end and do not average out.

    Examples
    --------
    >>> Range(1, 2, 4) + Range(1, 1, 1)
    Range(low=2, mid=3, high=5)
    >>> Range(1, 2, 4) * 10
    Range(low=10, mid=20, high=40)
    """

    low: float
    mid: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Range:
        """Return a range without width."""
        return cls(value, value, value)

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.mid * factor, self.high * factor)

    def times(self, other: Range) -> Range:
        """Return the product of two ranges, end by end."""
        return Range(self.low * other.low, self.mid * other.mid, self.high * other.high)

    def times_independent(self, other: Range) -> Range:
        """Return the product of two ranges whose causes have nothing to do with each other: logarithms add as squares.

        Examples
        --------
        >>> Range(50, 100, 200).times_independent(Range(1, 1, 1))
        Range(low=50.0, mid=100, high=200.0)
        """
        mid = self.mid * other.mid
        if not 0 < mid < math.inf:
            return self * other.mid
        low = math.hypot(math.log(self.low / self.mid), math.log(other.low / other.mid))
        high = math.hypot(math.log(self.high / self.mid), math.log(other.high / other.mid))
        return Range(mid * math.exp(-low), mid, mid * math.exp(high))

    def or_longer(self, other: Range) -> Range:
        """Return the larger of both at each end: what two things take that run side by side."""
        return Range(max(self.low, other.low), max(self.mid, other.mid), max(self.high, other.high))


ZERO: Final = Range.exactly(0.0)
