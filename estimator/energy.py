"""Electric energy of the devices, before the run: rated power, how much of it training draws, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from estimator.ranges import Range

if TYPE_CHECKING:
    from hardware_db import Device

POWER_SHARE: Final = Range(0.40, 0.76, 1.00)
"""Drawn over rated power while training: 0.76 of an 8 x H100 machine's rating under heavy load (Newkirk et al., 2025,
arXiv:2506.14551), at most 0.82 (Latif et al., 2024, arXiv:2412.08602); the low end, for devices that wait, is an
estimate."""

J_PER_KWH = 3.6e6


def energy_kwh(device: Device, count: int, run_time: Range) -> Range | None:
    """Return the energy of `count` devices over `run_time` seconds; None where the rated power is unknown.

    Devices only: no host, no cooling.
    """
    if device.tdp_w is None:
        return None
    return run_time.times(POWER_SHARE) * (device.tdp_w * count / J_PER_KWH)
