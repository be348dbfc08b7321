"""Whether somebody else's machine profile can be true: no product is faster than the device's published peak allows."""

from __future__ import annotations

from typing import Final

from hardware_db import Database
from hardware_db.errors import DataError, UnknownDevice, UnknownPrecision
from profiles.machine_profile import MachineProfile

MOST_OF_PEAK: Final = 2.0
"""Published peaks of processors are at the base clock, which turbo exceeds by up to nine tenths in the tables."""


def refuse_impossible(profile: MachineProfile, database: Database, source: str) -> None:
    """Raise where a matrix product is timed faster than its device can compute; what is not published is not judged.

    Raises
    ------
    DataError
        A timing is impossible; the message names it, its rate and the published peak.
    """
    try:
        device = database.device(profile.machine.device or "")
    except UnknownDevice:
        return
    for timing in profile.of_family("matmul"):
        try:
            peak = device.peak_flops_per_s(timing.precision)
        except UnknownPrecision:
            continue
        rate = timing.flops / timing.typical_s
        if rate > MOST_OF_PEAK * peak * timing.processes:
            raise DataError(
                f"{source}: {timing.name} ran at {rate:.3g} FLOP/s, {rate / peak:.3g} times the published peak of "
                f"{device.id} in {timing.precision} ({peak:.3g}).\nNo machine does that: it was timed wrongly, or is "
                "another device. Nothing was imported"
            )
