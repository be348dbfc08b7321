"""One `[[system]]` of a user's own file: a host, its links and its network, checked field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hardware_db.entry_faults import validated
from hardware_db.errors import FlopcastError
from hardware_db.own_device import EXAMPLES, ID
from hardware_db.records import Basis, Device, System
from hardware_db.units import parse_measure, to_base

Topology = Literal["switch", "mesh", "torus2d", "torus3d", "pcie", "bridge", "none"]
#: Text of a `[[system]]` with a unit -> field of `System` and base unit.
MEASURES: Mapping[str, tuple[str, str]] = {
    "scale_up_bandwidth": ("scale_up_bytes_per_s", "byte/s"),
    "scale_out_bandwidth": ("scale_out_bytes_per_s", "byte/s"),
    "host_memory": ("host_memory_bytes", "byte"),
}
_NEEDED = ("device", "devices_per_host", "topology")


class _Entry(BaseModel):
    """The fields of a `[[system]]` that carry no unit."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=ID)
    name: str | None = None
    like: str | None = None
    device: str | None = None
    devices_per_host: int | None = Field(default=None, ge=1)
    scale_up_devices: int | None = Field(default=None, ge=1)
    topology: Topology | None = None
    host_cpu: str | None = None
    instances: tuple[str, ...] = ()
    source: str = Field(min_length=1)
    date: date
    basis: Basis = "vendor"
    note: str = ""


def read_system(
    raw: Mapping[str, Any], find: Callable[[str], Device | None], systems: Mapping[str, System]
) -> tuple[System | None, list[str]]:
    """Return the system of a TOML table, or None and a sentence for each fault.

    `find` knows the devices (None: a device of this file that has faults of its own), `systems` those of `like`.
    """
    measures, faults = _measures(raw)
    entry, wrong = validated(_Entry, {k: v for k, v in raw.items() if k not in MEASURES}, EXAMPLES, tuple(MEASURES))
    named = {name: text for name in ("device", "host_cpu") if isinstance(text := raw.get(name), str)}
    ids = {name: _id(name, text, find, wrong) for name, text in named.items()}
    faults += wrong
    if entry is None:
        return None, faults
    like = systems.get(entry.like or "")
    if entry.like is not None and like is None:
        faults.append(f"like is {entry.like!r}, no system. There are: {', '.join(systems)}")
    elif like is None:
        lacking = [name for name in _NEEDED if getattr(entry, name) is None]
        faults += [f"it lacks {', '.join(lacking)} (or like = a system to start from)"] if lacking else []
    return (None, faults) if faults else (_built(entry, like, {**measures, **ids}), [])


def _built(entry: _Entry, like: System | None, given: Mapping[str, Any]) -> System:
    """Put a system together; its own id is one of its instances, so that a price can name it."""
    base: dict[str, Any] = {name: getattr(like, name) for name in _TAKEN} if like else {name: None for name in _TAKEN}
    said = {name: value for name in _TAKEN if (value := getattr(entry, name, None)) is not None}
    found = {**base, **said, **given}
    if entry.scale_up_devices is None and (like is None or entry.devices_per_host is not None):
        found["scale_up_devices"] = found["devices_per_host"]
    return System(
        id=entry.id,
        name=entry.name or entry.id,
        instances=(entry.id, *entry.instances),
        basis=entry.basis,
        sources=(entry.source,),
        retrieved=entry.date,
        note=entry.note,
        **{**found, "host_cpu": found["host_cpu"] or ""},
    )


_TAKEN = (
    *_NEEDED,
    "scale_up_devices",
    "scale_up_bytes_per_s",
    "scale_out_bytes_per_s",
    "host_cpu",
    "host_memory_bytes",
)


def _measures(raw: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    found: dict[str, float] = {}
    faults: list[str] = []
    for name, (field, base) in MEASURES.items():
        if name not in raw:
            continue
        try:
            value = to_base(*parse_measure(str(raw[name]), base))
            found[field] = round(value) if base == "byte" else value
        except FlopcastError as error:
            faults.append(f"{name}: {error}")
    return found, faults


def _id(name: str, text: str, find: Callable[[str], Device | None], faults: list[str]) -> str:
    """Return the id of a device that a field names; a name that none bears, or a host CPU that is none, is a fault."""
    try:
        device = find(text)
    except FlopcastError as error:
        faults.append(f"{name}: {error}")
        return text
    if name == "host_cpu" and device is not None and device.kind != "cpu":
        faults.append(f"host_cpu is {text!r}, a {device.kind}. Processors: flopcast hardware --kind cpu")
    return text if device is None else device.id
