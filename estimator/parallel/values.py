"""Three values of one quantity (low, mid, high) as an array, for arithmetic on many of them at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from estimator.ranges import Range

Triple = NDArray[np.float64]


def triple(low: float, mid: float | None = None, high: float | None = None) -> Triple:
    """Return three values as an array; of one value three times the same."""
    return np.array([low, low if mid is None else mid, low if high is None else high], dtype=np.float64)


def as_range(values: Triple) -> Range:
    """Return three values as a `Range`."""
    low, mid, high = values.tolist()
    return Range(low, mid, high)


def known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with 0 for those that are unknown (nan); sizes are never infinite."""
    return np.where(np.isnan(values), 0.0, values)
