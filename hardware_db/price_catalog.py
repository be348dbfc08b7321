"""From a row of a public price catalogue to an offer of a known device, or the reason why it is left out.

The catalogues are those that the gpuhunt project publishes (one CSV a provider); `data/price_names.csv` and
`data/cpu_families.csv` say which device of ours a name means. Nothing is guessed: what no row covers is left out and
counted.
"""

from __future__ import annotations

import csv
import fnmatch
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

from hardware_db.devices import read_basis
from hardware_db.errors import PricesError
from hardware_db.records import Basis, Offer
from hardware_db.tables import Row, rows

#: Columns that a catalogue must have; it may have more.
CATALOG_COLUMNS = frozenset(
    {"instance_name", "location", "price", "cpu", "memory", "gpu_count", "gpu_name", "gpu_memory", "spot"}
)
#: CPU machines below this are no place to train anything.
MIN_VCPUS = 8
#: TPU slices whose name counts cores, two to a chip; the others count chips.
_CORE_COUNTED = frozenset({"v2", "v3", "v4", "v5p"})
#: SkyPilot's and gpuhunt's stand-in for an unknown TPU v6e price.
_PLACEHOLDER_USD = 700.0


@dataclass(frozen=True)
class LeftOut:
    """A row of a catalogue that became no offer, and why."""

    instance: str
    reason: str


@dataclass(frozen=True)
class Match:
    """Which device a machine has, how many, and how that is known."""

    device: str
    count: int
    cores: float | None
    basis: Basis
    note: str


def read_catalog(provider: str, text: str, as_of: date, source: str) -> Iterator[Offer | LeftOut]:
    """Yield what each row of a provider's catalogue is.

    Raises
    ------
    PricesError
        It is no such catalogue: columns are missing.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = CATALOG_COLUMNS - set(reader.fieldnames or ())
    if missing:
        raise PricesError(f"The catalogue of {provider} lacks the columns {', '.join(sorted(missing))}")
    for row in reader:
        try:
            yield _offer(provider, row, as_of, source)
        except (ValueError, TypeError) as error:
            yield LeftOut(row.get("instance_name") or "?", f"unreadable: {error}")


def _offer(provider: str, row: Row, as_of: date, source: str) -> Offer | LeftOut:
    instance, price = row["instance_name"], float(row["price"] or 0)
    if price <= 0:
        return LeftOut(instance, "no price")
    match = find_device(provider, row)
    if isinstance(match, str):
        return LeftOut(instance, match)
    if match.device == "tpu-v6e" and price >= _PLACEHOLDER_USD and match.count < 256:
        return LeftOut(instance, "placeholder price")
    return Offer(
        provider=provider,
        instance=instance,
        region=row["location"],
        device=match.device,
        device_count=match.count,
        vcpus=float(row["cpu"]) if row["cpu"] else None,
        cores=match.cores,
        memory_bytes=round(float(row["memory"]) * 2**30) if row["memory"] else None,
        pricing="spot" if row["spot"].casefold() == "true" else "on_demand",
        usd_per_hour=price,
        as_of=as_of,
        source=source,
        kind="tpu" if match.device.startswith("tpu-") else "vm",
        basis=match.basis,
        note=match.note,
    )


def find_device(provider: str, row: Mapping[str, str]) -> Match | str:
    """Return the device of a catalogue row by the first table row that fits it, or why there is none."""
    count = int(float(row["gpu_count"] or 0))
    if count == 0:
        return _cpu(provider, row["instance_name"], float(row["cpu"] or 0))
    name, memory = row["gpu_name"], float(row["gpu_memory"] or 0)
    for known in _price_names():
        if known["gpu_name"] == name and float(known["gpu_memory_gb"]) == memory and _applies(known, provider, row):
            chips = _slice(row["instance_name"], name) or count
            return Match(known["device"], chips, None, read_basis(known["basis"]), known["note"])
    return f"unknown accelerator {name} {memory:g} GB"


def _cpu(provider: str, instance: str, vcpus: float) -> Match | str:
    if vcpus < MIN_VCPUS:
        return f"under {MIN_VCPUS} vCPUs"
    for family in _cpu_families():
        if family["provider"] == provider and fnmatch.fnmatchcase(instance, family["instance"]):
            cores = vcpus / int(family["vcpus_per_core"])
            return Match(family["device"], 1, cores, read_basis(family["basis"]), family["note"])
    return "processor not determined by the machine type"


def _applies(known: Row, provider: str, row: Mapping[str, str]) -> bool:
    if known["provider"] and known["provider"] != provider:
        return False
    return not known["instance"] or fnmatch.fnmatchcase(row["instance_name"], known["instance"])


def _slice(instance: str, name: str) -> int | None:
    """Return the chips of a TPU slice by its name: "v4-8" has 8 cores, 4 chips; "v5litepod-8" has 8 chips."""
    version, _, size = instance.removeprefix("tpu-").partition("-")
    if version != name or not size.isdigit():
        return None
    return max(1, int(size) // 2) if version in _CORE_COUNTED else int(size)


@cache
def _price_names() -> tuple[Row, ...]:
    return tuple(rows("price_names.csv"))


@cache
def _cpu_families() -> tuple[Row, ...]:
    return tuple(rows("cpu_families.csv"))
