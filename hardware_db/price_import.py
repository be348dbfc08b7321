"""A company's own price list: a CSV whose rows are checked field by field before any of them counts.

Columns: provider, instance, region, device, device_count, pricing, usd_per_hour, as_of; optional: vcpus, cores,
memory_gib, note. `device` is any name of the hardware database. A row for a CPU machine states its physical cores.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hardware_db.checks import check_offers
from hardware_db.database import Database
from hardware_db.entry_faults import listed, unknown, unreadable, validated
from hardware_db.errors import DataError, FlopcastError
from hardware_db.records import Device, Offer, Pricing

if TYPE_CHECKING:
    from hardware_db.store import Snapshot, Store

#: Key of the cells that a line has beyond the columns.
SURPLUS = "surplus cells"
#: What would work in a column.
EXAMPLES: Mapping[str, str] = {
    "provider": "acme",
    "instance": "rack-1",
    "region": "berlin",
    "device": "h100-sxm",
    "device_count": "8",
    "usd_per_hour": "12.50",
    "as_of": "2026-11-01",
    "vcpus": "96",
    "cores": "48",
    "memory_gib": "384",
}


def _nothing_if_empty(text: Any) -> Any:
    return None if text == "" else text


def _underscored(text: Any) -> Any:
    return text.strip().replace("-", "_").casefold() if isinstance(text, str) else text


_Amount = Annotated[float | None, Field(default=None, gt=0), BeforeValidator(_nothing_if_empty)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    provider: str = Field(min_length=1)
    instance: str = Field(min_length=1)
    region: str = Field(default="global", min_length=1)
    device: str = Field(min_length=1)
    device_count: int = Field(ge=1)
    pricing: Annotated[Pricing, BeforeValidator(_underscored)]
    usd_per_hour: float = Field(gt=0)
    as_of: date
    vcpus: _Amount = None
    cores: _Amount = None
    memory_gib: _Amount = None
    note: str = ""


def read_price_list(path: Path, database: Database) -> tuple[Offer, ...]:
    """Return the offers of a price list.

    Raises
    ------
    DataError
        The file cannot be read, or a row breaks the schema or cannot be true: each fault with its line and field.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file, restkey=SURPLUS))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {unreadable(error)}") from error
    if not lines:
        raise DataError(f"{path} has no rows. Columns: {', '.join(_Line.model_fields)}")
    offers: list[Offer] = []
    faults = list(_header_faults(lines[0]))
    for number, line in enumerate(() if faults else lines, start=2):
        offer, wrong = _offer(line, path, database)
        faults += [f"line {number}: {fault}" for fault in wrong]
        offers += [offer] if offer is not None else []
    faults += check_offers(offers, database.devices_by_id)
    if faults:
        raise DataError(listed(str(path), faults))
    return tuple(offers)


def import_prices(path: Path, store: Store, database: Database) -> Snapshot:
    """Check a price list and put it into the store, all rows or none; the same list again adds nothing."""
    return store.save_offers(read_price_list(path, database), source=f"import of {path.name}")


def dear_reservations(offers: Iterable[Offer], database: Database) -> list[str]:
    """Return a remark for each reserved price above the on-demand price of the same machine and region."""
    offers = tuple(offers)
    on_demand = {
        (each.provider, each.instance, each.region): each.usd_per_hour
        for each in (*database.current_offers, *offers)
        if each.pricing == "on_demand"
    }
    remarks = []
    for offer in offers:
        known = on_demand.get((offer.provider, offer.instance, offer.region))
        if offer.pricing.startswith("reserved") and known is not None and offer.usd_per_hour > known:
            dear = f"{offer.pricing} {offer.usd_per_hour:g} is above on demand {known:g}"
            remarks.append(f"{offer.provider} {offer.instance} in {offer.region}: {dear}")
    return remarks


def _header_faults(line: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the columns, so that it is said once and not of every line."""
    if len(line) == 1 and ";" in next(iter(line)):
        yield "its columns are separated by semicolons; use commas"
        return
    needed = [name for name, field in _Line.model_fields.items() if field.is_required()]
    lacking = [name for name in needed if name not in line]
    if lacking:
        yield f"it lacks the columns {', '.join(lacking)}"
    for name in line:
        if name not in _Line.model_fields and name != SURPLUS:
            yield f"{name} is no column. {unknown(name, _Line.model_fields)}"


def _offer(line: dict[str, Any], path: Path, database: Database) -> tuple[Offer | None, list[str]]:
    known = {name: value for name, value in line.items() if value is not None and name != SURPLUS}
    row, faults = validated(_Line, known, EXAMPLES)
    if SURPLUS in line:
        faults.append(f"{len(line[SURPLUS])} {SURPLUS}; a text with a comma stands in double quotes")
    device = None
    try:
        device = database.device(line.get("device") or "")
    except FlopcastError as error:
        faults += [f"device: {error}"] if line.get("device") else []
    if row is None or device is None or faults:
        return None, faults
    return _built(row, device, path.name), []


def _built(row: _Line, device: Device, source: str) -> Offer:
    return Offer(
        provider=row.provider,
        instance=row.instance,
        region=row.region,
        device=device.id,
        device_count=row.device_count,
        vcpus=row.vcpus,
        cores=row.cores,
        memory_bytes=None if row.memory_gib is None else round(row.memory_gib * 2**30),
        pricing=row.pricing,
        usd_per_hour=row.usd_per_hour,
        as_of=row.as_of,
        source=source,
        kind="tpu" if device.kind == "tpu" else "vm",
        note=row.note,
    )
