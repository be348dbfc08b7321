"""What share of its published figures a device sustains.

A peak is the rate at the boost clock. Power decides whether that clock can be held: each FLOP takes an energy that
falls from one generation to the next, so a card of 70 W sustains 25-40 % of the peak that its datasheet gives. Engines
that are throttled to half of what their multiprocessor could feed (GeForce) sustain nearly all of what is left.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from estimator.timing.machine import REFERENCE_YEAR, Machine
from estimator.timing.settings import Floats

Parameters = Mapping[str, float]


def sustained_rate(on: Machine, p: Parameters) -> Floats:
    """Return the FLOP/s of large products of each operation.

    rate = (reached^-s + limit^-s)^(-1/s), reached = share * peak, limit = power / (energy per FLOP), which falls faster
    for matrix engines than for vector units and is that of 16 bits times the size of the operands. Fitted, see
    `estimator/calibration`.
    """
    matrix_share = p["matrix_share"] * on.engine ** -p["throttle_exponent"]
    share = np.where(on.matrix, matrix_share, p["vector_share"])
    energy_j = np.where(on.matrix, p["matrix_energy_pj"] * on.operand, p["vector_energy_pj"]) * 1e-12
    halving = np.where(on.matrix, p["matrix_energy_halving_years"], p["vector_energy_halving_years"])
    limit = on.power_w / (energy_j * 2.0 ** (-(on.year - REFERENCE_YEAR) / halving))
    return on.rate_factor * _smooth_minimum(share * on.peak, limit, p["power_sharpness"])


def _smooth_minimum(one: Floats, other: Floats, sharpness: float) -> Floats:
    """A minimum that gives way around the point where both are equal."""
    ratio: Floats = one / other
    return one * (1.0 + ratio**sharpness) ** (-1.0 / sharpness)
