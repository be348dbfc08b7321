"""A user's own devices and machines: a TOML file, checked field by field and laid over the published tables.

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

    [[system]]
    id = "acme-node"
    device = "acme-x1"
    devices_per_host = 8
    topology = "switch"
    scale_up_bandwidth = "300 GB/s"
    scale_out_bandwidth = "25 GB/s"
    source = "data sheet rev. 3"
    date = 2026-11-01

With `like = "h100-sxm"` (a system: `like = "dgx-h100"`) the entry starts from that row and needs only what differs; its
inherited figures keep their sources.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.checks import check_devices, check_systems
from hardware_db.entry_faults import listed, unknown, unreadable
from hardware_db.errors import DataError
from hardware_db.own_device import read_device
from hardware_db.own_system import read_system
from hardware_db.rates import unchecked_peaks
from hardware_db.records import Device, System

if TYPE_CHECKING:
    from hardware_db.database import Database

KINDS = ("device", "system")
EMPTY = "nothing in it: a device begins with [[device]], a machine with [[system]]"

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Own:
    """What a user's file defines."""

    devices: tuple[Device, ...] = ()
    systems: tuple[System, ...] = ()


@dataclass(frozen=True)
class OwnCheck:
    """A user's file that can be read: what it defines, what cannot be true, and what its author should know.

    `unchecked` says which peaks no rule could hold against units x rate x clock, and why.
    """

    own: Own
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    unchecked: tuple[str, ...] = ()


def read_own(path: Path, published: Database) -> Own:
    """Return the devices and systems of a user's TOML file.

    Raises
    ------
    DataError
        The file is missing, no TOML, or entries break the schema: every fault is named with entry and field.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {unreadable(error)}") from error
    return parse_own(text, str(path), published)


def parse_own(text: str, origin: str, published: Database) -> Own:
    """Return the devices and systems of a TOML text; `origin` says in messages where it comes from.

    Raises
    ------
    DataError
        It is no TOML, or entries break the schema.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, brackets in brackets
        raise DataError(f"{origin} cannot be read: {error}") from error
    faults = list(_misplaced(tables))
    if not faults:
        devices = _devices(tables.get("device", []), published, faults)
        systems = _systems(tables, published.with_devices(devices), faults)
    if faults:
        raise DataError(listed(origin, faults))
    return Own(tuple(devices), tuple(systems))


def check_own_file(path: Path, published: Database) -> OwnCheck:
    """Check a user's file by the rules of the published tables; names that others bear are faults.

    Raises
    ------
    DataError
        The file cannot be read or an entry breaks the schema.
    """
    own = read_own(path, published)
    database = published.with_own(own)
    faults = [*check_devices(own.devices), *check_systems(own.systems, database.devices_by_id)]
    for device in own.devices:
        for name in (device.name, *device.aliases):
            taken = [id for id in published.names.candidates(name) if id != device.id]
            faults += [f"{device.id}: the name {name!r} is that of {', '.join(taken)}"] if taken else []
    replaced = [device.id for device in own.devices if device.id in published.devices_by_id]
    replaced += [system.id for system in own.systems if system.id in {known.id for known in published.systems}]
    remarks = tuple(f"{id} takes the place of the published {id}" for id in replaced)
    checked = frozenset(figure for device in published.devices() for figure in device.figures)
    unchecked = tuple(f"{device.id}: {why}" for device in own.devices for why in unchecked_peaks(device, checked))
    return OwnCheck(own, tuple(faults) or (() if own != Own() else (EMPTY,)), remarks, unchecked)


def _misplaced(tables: Table) -> Iterator[str]:
    for name, value in tables.items():
        if name not in KINDS:
            yield f"[{name}] is no table of this file. {unknown(name, KINDS)}"
        elif not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            yield f"a {name} begins with [[{name}]], not [{name}]: there may be several"


def _devices(entries: list[Table], published: Database, faults: list[str]) -> list[Device]:
    found: dict[str, Device] = {}

    def find(name: str) -> Device:
        return found[name] if name in found else published.device(name)

    for place, entry in _placed("device", entries, faults):
        device, wrong = read_device(entry, find)
        faults += [f"{place}: {fault}" for fault in wrong]
        if device is not None:
            found[device.id] = device
    return list(found.values())


def _systems(tables: Table, database: Database, faults: list[str]) -> list[System]:
    found: list[System] = []
    known = {system.id: system for system in database.systems}
    ids = {entry["id"] for entry in tables.get("device", []) if isinstance(entry.get("id"), str)}
    broken = ids - database.devices_by_id.keys()

    def find(name: str) -> Device | None:
        return None if name in broken else database.device(name)

    for place, entry in _placed("system", tables.get("system", []), faults):
        system, wrong = read_system(entry, find, known)
        faults += [f"{place}: {fault}" for fault in wrong]
        found += [system] if system is not None else []
    return found


def _placed(kind: str, entries: list[Table], faults: list[str]) -> Iterator[tuple[str, Table]]:
    """Yield each entry with what it is called in a message; an id that stands there twice is a fault."""
    ids = Counter(entry["id"] for entry in entries if isinstance(entry.get("id"), str))
    repeated = [(id, times) for id, times in ids.items() if times > 1]
    faults += [f"{kind} {id!r}: {times} entries have this id; give each its own" for id, times in repeated]
    for number, entry in enumerate(entries, start=1):
        yield f"{kind} {entry['id']!r}" if "id" in entry else f"{kind} {number}", entry
