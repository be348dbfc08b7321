"""The database as pandas tables; pandas is imported here only, so that loading stays fast."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import pandas as pd

from hardware_db.devices import estimated_fields
from hardware_db.records import Device, Offer

if TYPE_CHECKING:
    from hardware_db.database import Database

_NESTED = ("matrix_peaks", "vector_peaks", "figures", "aliases")
_ENGINES = ("matrix", "vector")


def devices_frame(database: Database) -> pd.DataFrame:
    """Return one row a device; peaks are columns such as `matrix_bfloat16_flops_per_s`.

    The column `estimated` names the columns of that row that nobody has checked against a document, with semicolons.
    """
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
    for engine in _ENGINES:
        row |= {_peak(engine, name): peak for name, peak in getattr(device, f"{engine}_peaks").items()}
    return row | {"estimated": ";".join(_column(name) for name in estimated_fields(device))}


def _peak(engine: str, precision: str) -> str:
    return f"{engine}_{precision}_flops_per_s"


def _column(field: str) -> str:
    """Return the column of a field of a device: that of "matrix_peaks.bfloat16" is "matrix_bfloat16_flops_per_s"."""
    engine, dot, precision = field.partition("_peaks.")
    return _peak(engine, precision) if dot else field
