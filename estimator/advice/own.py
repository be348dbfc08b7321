"""Devices that are there already, as an offer: an hour costs its electricity."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from estimator.energy import USUAL_SHARE
from hardware_db.energy import electricity_price
from hardware_db.errors import UsageError
from hardware_db.records import Offer

if TYPE_CHECKING:
    from hardware_db import Device


def own_offer(device: Device, count: int, usd_per_kwh: float | None = None) -> Offer:
    """Return devices that are there already as an offer: they cost the electricity of training.

    Raises
    ------
    UsageError
        the rated power of the device is unknown
    """
    if device.tdp_w is None:
        raise UsageError(f"No rated power of {device.id} is known, so nobody can say what running it costs")
    price = electricity_usd_per_kwh(usd_per_kwh)
    return Offer(
        provider="own",
        instance=f"own {count} × {device.id}",
        region="-",
        device=device.id,
        device_count=count,
        vcpus=None,
        cores=None,
        memory_bytes=None,
        pricing="on_demand",
        usd_per_hour=device.tdp_w * count * USUAL_SHARE.mid / 1000 * price,
        as_of=date.today(),
        source="electricity of devices that are there already",
        kind="vm",
    )


def electricity_usd_per_kwh(given: float | None) -> float:
    """Return the price given, or the world's for businesses [USD/kWh]."""
    if given is not None:
        return given
    world = electricity_price("world")
    assert world is not None, "the world has a price"
    return world.value
