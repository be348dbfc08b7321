"""The hardware database as tables: devices with what a FLOP and a gigabyte cost, figures with their sources, offers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import pandas as pd

from dashboard.commands import command_line
from dashboard.figures import rounded
from estimator.cli.device_filters import cheapest_offers, training_peak
from hardware_db import Database, Device
from hardware_db.errors import NoPrice
from hardware_db.here import Here
from hardware_db.price_history import price_history
from hardware_db.store import open_store
from hardware_db.store_place import store_exists

PETA: Final = 1e15
TERA: Final = 1e12
GIB: Final = 2**30
DEVICE_COLUMNS: Final = (
    "device",
    "kind",
    "vendor",
    "year",
    "memory_gib",
    "bandwidth_tb_per_s",
    "peak_tflop_per_s",
    "tdp_w",
    "usd_per_hour",
    "usd_per_pflop_s_hour",
    "usd_per_gib_hour",
    "usd_per_tb_s_hour",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """Which devices to show; empty: all."""

    kinds: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()

    def take(self, device: Device) -> bool:
        """Whether a device passes."""
        return device.kind in (self.kinds or (device.kind,)) and device.vendor in (self.vendors or (device.vendor,))

    def commands(self) -> tuple[str, ...]:
        """Return the command lines that list the same devices: a command takes one kind and one vendor."""
        pairs = product(self.kinds or (None,), self.vendors or (None,))
        return tuple(command_line("hardware", [], [("--kind", kind), ("--vendor", vendor)]) for kind, vendor in pairs)


def devices_table(database: Database, shown: Shown, first: str = "usd_per_pflop_s_hour") -> pd.DataFrame:
    """Return one row a device, those with the cheapest arithmetic (or memory, or bandwidth) first.

    `usd_per_hour` is the cheapest on-demand price of one whole device, `peak_tflop_per_s` the dense peak that training
    uses (the better 16-bit one, else float32); `usd_per_pflop_s_hour`, `usd_per_gib_hour` and `usd_per_tb_s_hour` are
    the hourly price over that peak, over the memory and over its bandwidth; `first` names the one to sort by. Unknown
    figures are missing, never zero.
    """
    offers = cheapest_offers(database)
    prices = {name: cheapest.usd_per_hour for name, cheapest in offers.items()}
    rows = [_row(device, prices.get(device.id)) for device in database.devices() if shown.take(device)]
    table = pd.DataFrame(rows, columns=list(DEVICE_COLUMNS))
    return table.sort_values([first, "device"], na_position="last").reset_index(drop=True)


def _row(device: Device, usd_per_hour: float | None) -> dict[str, object]:
    peak = training_peak(device)
    memory, bandwidth = device.memory_bytes, device.memory_bandwidth_bytes_per_s
    return {
        "device": device.id,
        "kind": device.kind,
        "vendor": device.vendor,
        "year": device.release_date.year if device.release_date else None,
        "memory_gib": rounded(memory / GIB) if memory else None,
        "bandwidth_tb_per_s": _scaled(bandwidth, TERA),
        "peak_tflop_per_s": _scaled(peak, TERA),
        "tdp_w": device.tdp_w,
        "usd_per_hour": rounded(usd_per_hour),
        "usd_per_pflop_s_hour": _per(usd_per_hour, peak, PETA),
        "usd_per_gib_hour": _per(usd_per_hour, memory, GIB),
        "usd_per_tb_s_hour": _per(usd_per_hour, bandwidth, TERA),
    }


def _per(usd_per_hour: float | None, amount: float | None, unit: float) -> float | None:
    return rounded(usd_per_hour / (amount / unit)) if usd_per_hour and amount else None


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else rounded(value / unit)


def figures_table(database: Database, device: Device) -> pd.DataFrame:
    """Return every published figure of a device with its unit, basis, date and sources (the first as a link)."""
    rows = [
        {
            "figure": " ".join(part for part in (each.quantity.replace("_", " "), each.precision) if part),
            "value": each.value,
            "unit": each.unit,
            "sums_in": each.accumulate,
            "basis": each.basis,
            "retrieved": each.retrieved,
            "source": next((url for name in each.sources if (url := _link(database, name))), None),
            "sources": ", ".join(each.sources),
            "note": each.note,
        }
        for each in device.figures
    ]
    return pd.DataFrame(rows)


def _link(database: Database, name: str) -> str | None:
    source = database.sources.get(name)
    url = getattr(source, "url", None)
    return url if isinstance(url, str) and url.startswith("https://") else None


def history_table(here: Here, device: str) -> pd.DataFrame:
    """Return what a device cost by day, provider and pricing, published and of the store; empty where nothing is known.

    Columns as those of `hardware_db.price_history`.
    """
    stored = open_store() if store_exists() and here.store_answers else None
    try:
        return price_history(here.database, device, stored)
    except NoPrice:
        return pd.DataFrame()


def offers_table(database: Database, device: Device) -> pd.DataFrame:
    """Return the current offers of a device, the cheapest by the whole device first; ways to pay as they are asked."""
    rows = [
        {
            "provider": offer.provider,
            "instance": offer.instance,
            "region": offer.region,
            "pricing": offer.pricing.replace("_", "-"),
            "devices": offer.device_count,
            "usd_per_hour": offer.usd_per_hour,
            "usd_per_device_hour": rounded(database.usd_per_whole_device_hour(offer)),
            "as_of": offer.as_of,
            "source": offer.source,
        }
        for offer in database.offers(device=device.id)
    ]
    columns = ["provider", "instance", "region", "pricing", "devices", "usd_per_hour", "usd_per_device_hour"]
    table = pd.DataFrame(rows, columns=[*columns, "as_of", "source"])
    return table.sort_values("usd_per_device_hour").reset_index(drop=True)
