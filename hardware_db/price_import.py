"""A company's own price list: a CSV whose rows are checked field by field before any of them counts.

Columns: provider, instance, region, device, device_count, pricing, usd_per_hour, as_of; optional: vcpus, cores,
memory_gib, note. `device` is any name of the hardware database. A row for a CPU machine states its physical cores.
"""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hardware_db.checks import check_offers
from hardware_db.database import Database
from hardware_db.errors import DataError, FlopcastError
from hardware_db.records import Offer, Pricing

if TYPE_CHECKING:
    from hardware_db.store import Snapshot, Store

#: How many faults a message lists; the rest are counted.
SHOWN_FAULTS = 2


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
            lines = list(csv.DictReader(file, restkey="surplus cells"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not lines:
        raise DataError(f"{path} has no rows. Columns: {', '.join(_Line.model_fields)}")
    offers: list[Offer] = []
    faults: list[str] = []
    for number, line in enumerate(lines, start=2):
        try:
            offers.append(_offer(line, path, database))
        except (ValidationError, FlopcastError) as error:
            faults += [f"line {number}: {fault}" for fault in _sentences(error)]
    faults += check_offers(offers, database.devices_by_id)
    if faults:
        more = f"\n(and {len(faults) - SHOWN_FAULTS} more)" if len(faults) > SHOWN_FAULTS else ""
        raise DataError(f"{path}: " + "; ".join(faults[:SHOWN_FAULTS]) + more)
    return tuple(offers)


def import_prices(path: Path, store: Store, database: Database) -> Snapshot:
    """Check a price list and put it into the store, all rows or none."""
    return store.save_offers(read_price_list(path, database), source=f"import of {path.name}")


def _offer(line: dict[str, Any], path: Path, database: Database) -> Offer:
    row = _Line.model_validate({name: value for name, value in line.items() if value is not None})
    device = database.device(row.device)
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
        source=path.name,
        kind="tpu" if device.kind == "tpu" else "vm",
        note=row.note,
    )


def _sentences(error: ValidationError | FlopcastError) -> list[str]:
    if isinstance(error, FlopcastError):
        return [str(error)]
    return [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
