"""The database as pandas tables; pandas is imported here only, so that loading stays fast."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import pandas as pd

from hardware_db.records import Device, Offer

if TYPE_CHECKING:
    from hardware_db.database import Database

_NESTED = ("matrix_peaks", "vector_peaks", "figures", "aliases")


def devices_frame(database: Database) -> pd.DataFrame:
    """Return one row a device; peaks are columns such as `matrix_bfloat16_flops_per_s`."""
    return pd.DataFrame([_flat(device) for device in database.devices()])


def figures_frame(database: Database) -> pd.DataFrame:
    """Return one row a figure: device, quantity, precision, value and unit as published, source, date, basis."""
    return pd.DataFrame(
        [
            {
                "device": device.id,
                **asdict(figure),
                "base_value": figure.base_value,
                "sources": ";".join(figure.sources),
            }
            for device in database.devices()
            for figure in device.figures
        ]
    )


def offers_frame(database: Database, *, history: bool = False) -> pd.DataFrame:
    """Return one row an offer, with `usd_per_device_hour`."""
    offers = database.offers(history=history)
    frame = pd.DataFrame([asdict(offer) for offer in offers], columns=[column.name for column in fields(Offer)])
    return frame.assign(usd_per_device_hour=[offer.usd_per_device_hour for offer in offers])


def _flat(device: Device) -> dict[str, object]:
    row = {column.name: getattr(device, column.name) for column in fields(Device) if column.name not in _NESTED}
    for engine, peaks in (("matrix", device.matrix_peaks), ("vector", device.vector_peaks)):
        row |= {f"{engine}_{precision}_flops_per_s": peak for precision, peak in peaks.items()}
    return row
