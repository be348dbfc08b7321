"""A user's own devices: a TOML file whose entries are checked field by field and laid over the published ones.

    [[device]]
    id = "acme-x1"
    name = "Acme X1"
    kind = "gpu"
    vendor = "Acme"
    source = "data sheet rev. 3"
    date = 2026-11-01
    memory = "80 GiB"
    memory_bandwidth = "3.35 TB/s"
    matrix_peak = { bfloat16 = "700 TFLOP/s" }
    vector_peak = { float32 = "60 TFLOP/s" }

With `like = "h100-sxm"` the entry starts from that row and needs only what differs; its inherited figures keep their
sources.
"""

from __future__ import annotations

import difflib
import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hardware_db.checks import check_devices
from hardware_db.devices import BASE_UNITS, FIELDS, PEAKS, figure_fields
from hardware_db.errors import DataError, FlopcastError
from hardware_db.records import Basis, Device, Figure, Kind, Use
from hardware_db.units import parse_measure, parse_precision

if TYPE_CHECKING:
    from hardware_db.database import Database

_ACCUMULATE = {"float64": "float64", "int8": "int32", "int4": "int32"}


def default_file() -> Path:
    """Return where a user's own devices are looked for: `~/.config/flopcast/devices.toml` on Linux."""
    return user_config_path("flopcast") / "devices.toml"


class _Entry(BaseModel):
    """One `[[device]]` table; every quantity of `specs.csv` is allowed and carries its unit in the text."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    name: str | None = None
    like: str | None = None
    kind: Kind | None = None
    vendor: str | None = None
    architecture: str | None = None
    aliases: tuple[str, ...] = ()
    accounting_unit: str | None = None
    compute_unit: str | None = None
    logical_devices: int = Field(default=1, ge=1)
    link_name: str | None = None
    use: Use | None = None
    source: str = Field(min_length=1)
    date: date
    basis: Basis = "vendor"
    note: str = ""
    matrix_peak: dict[str, str] = {}
    vector_peak: dict[str, str] = {}
    quantities: dict[str, str] = {}

    @field_validator("matrix_peak", "vector_peak")
    @classmethod
    def _known_precisions(cls, peaks: dict[str, str]) -> dict[str, str]:
        try:
            return {parse_precision(name): peak for name, peak in peaks.items()}
        except FlopcastError as error:
            raise ValueError(str(error)) from error


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    device: tuple[_Entry, ...] = ()


def read_own_devices(path: Path, published: Database) -> tuple[Device, ...]:
    """Return the devices of a user's TOML file.

    Raises
    ------
    DataError
        The file is missing, no TOML, or an entry breaks the schema: each fault is named with its field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return parse_own_devices(text, str(path), published)


def parse_own_devices(text: str, origin: str, published: Database) -> tuple[Device, ...]:
    """Return the devices of a TOML text; `origin` says in messages where it comes from.

    Raises
    ------
    DataError
        It is no TOML, or an entry breaks the schema.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{origin} cannot be read: {error}") from error
    if isinstance(tables.get("device"), dict):
        raise DataError(f"{origin}: a device begins with [[device]], not [device]: there may be several")
    try:
        entries = _File.model_validate(_with_quantities(tables)).device
    except ValidationError as error:
        raise DataError(_faults(origin, tables, error)) from error
    return tuple(_build(entry, origin, published) for entry in entries)


def _with_quantities(tables: dict[str, Any]) -> dict[str, Any]:
    """Gather the quantities of each entry ("memory", "tdp" ...) under one key, so that the others can be checked."""
    devices = tables.get("device", [])
    if not isinstance(devices, list):
        return tables
    return {**tables, "device": [_gathered(entry) if isinstance(entry, dict) else entry for entry in devices]}


def _gathered(entry: dict[str, Any]) -> dict[str, Any]:
    simple = {name for name in FIELDS if name not in PEAKS}
    rest = {name: value for name, value in entry.items() if name not in simple}
    return {**rest, "quantities": {name: str(entry[name]) for name in entry if name in simple}}


def _build(entry: _Entry, origin: str, published: Database) -> Device:
    try:
        like = published.device(entry.like) if entry.like else None
        figures = _merged(like.figures if like else (), _figures(entry))
    except FlopcastError as error:
        raise DataError(f"{origin}: device {entry.id!r}: {error}") from error
    missing = [name for name in ("name", "kind", "vendor") if like is None and getattr(entry, name) is None]
    if missing:
        raise DataError(f"{origin}: device {entry.id!r} lacks {', '.join(missing)} (or like = a device to start from)")
    return Device(
        id=entry.id,
        kind=entry.kind or (like.kind if like else "gpu"),
        vendor=entry.vendor or (like.vendor if like else ""),
        name=entry.name or entry.id,
        architecture=entry.architecture or (like.architecture if like else ""),
        status="own",
        release_date=None,
        accounting_unit=entry.accounting_unit or (like.accounting_unit if like else "device"),
        compute_unit=entry.compute_unit or (like.compute_unit if like else ""),
        logical_devices=entry.logical_devices,
        aliases=entry.aliases,
        link_name=entry.link_name or (like.link_name if like else ""),
        use=entry.use or (like.use if like else "training"),
        figures=figures,
        note=entry.note,
        **figure_fields(figures),
    )


def _figures(entry: _Entry) -> tuple[Figure, ...]:
    peaks = [(kind, precision, text) for kind in PEAKS for precision, text in getattr(entry, kind).items()]
    plain = [(quantity, "", text) for quantity, text in entry.quantities.items()]
    return tuple(_figure(entry, *figure) for figure in (*peaks, *plain))


def _figure(entry: _Entry, quantity: str, precision: str, text: str) -> Figure:
    counted = BASE_UNITS[quantity] == "1"
    value, unit = parse_measure(f"{text} 1" if counted else text, BASE_UNITS[quantity])
    accumulate = _ACCUMULATE.get(precision, "float32") if precision else ""
    return Figure(quantity, precision, accumulate, value, unit, entry.basis, (entry.source,), entry.date)


def _merged(old: tuple[Figure, ...], new: tuple[Figure, ...]) -> tuple[Figure, ...]:
    replaced = {(figure.quantity, figure.precision) for figure in new}
    return tuple(figure for figure in old if (figure.quantity, figure.precision) not in replaced) + new


def _faults(origin: str, tables: dict[str, Any], error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        where = [str(part) for part in fault["loc"]]
        if len(where) > 1 and where[0] == "device":
            entry = tables["device"][int(where[1])]
            where = [f"device {entry.get('id', where[1])!r}" if isinstance(entry, dict) else where[1], *where[2:]]
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            said = _unknown_field(where[-1])
        lines.append(f"{': '.join(where)}: {said}")
    more = f" (and {len(lines) - 2} more)" if len(lines) > 2 else ""
    return f"{origin}: " + "\n".join(lines[:2]) + more


def _unknown_field(name: str) -> str:
    fields = [field for field in _Entry.model_fields if field != "quantities"]
    quantities = [quantity for quantity in FIELDS if quantity not in PEAKS]
    close = difflib.get_close_matches(name, [*fields, *quantities], n=3)
    return f"no such field. Did you mean {', '.join(close)}?" if close else "no such field; see docs/data.md"


def check_own_file(path: Path, published: Database) -> tuple[tuple[Device, ...], list[str]]:
    """Return the devices of a user's file and what is wrong with them: the rules of `hardware_db.checks`, taken names.

    Raises
    ------
    DataError
        The file cannot be read or an entry breaks the schema.
    """
    devices = read_own_devices(path, published)
    faults = check_devices(devices) if devices else ["no device: each begins with [[device]]"]
    for device in devices:
        for name in (device.name, *device.aliases):
            taken = [id for id in published.names.candidates(name) if id != device.id]
            faults += [f"{device.id}: the name {name!r} is that of {', '.join(taken)}"] if taken else []
    return devices, faults
