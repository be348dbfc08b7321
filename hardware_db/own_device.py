"""One `[[device]]` of a user's own file, checked field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from hardware_db.devices import BASE_UNITS, FIELDS, PEAKS, figure_fields
from hardware_db.entry_faults import validated
from hardware_db.errors import FlopcastError
from hardware_db.records import Basis, Device, Figure, Kind, Use
from hardware_db.units import parse_measure, parse_precision

_ACCUMULATE = {"float64": "float64", "int8": "int32", "int4": "int32"}
_NEEDED = ("name", "kind", "vendor")
ID = r"^[a-z0-9]+(-[a-z0-9]+)*$"
#: What would work in a field of a device or a system.
EXAMPLES: Mapping[str, str] = {
    "id": 'id = "acme-x1"',
    "name": 'name = "Acme X1"',
    "source": 'source = "data sheet rev. 3"',
    "date": "date = 2026-11-01",
    "aliases": 'aliases = ["Acme X1 Rev B"]',
    "instances": 'instances = ["acme.8x"]',
    "logical_devices": "logical_devices = 2",
    "devices_per_host": "devices_per_host = 8",
    "scale_up_devices": "scale_up_devices = 8",
}


class _Entry(BaseModel):
    """The fields of a `[[device]]` that are no figures."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=ID)
    name: str | None = None
    like: str | None = None
    kind: Kind | None = None
    vendor: str | None = None
    architecture: str | None = None
    aliases: tuple[str, ...] = ()
    accounting_unit: str | None = None
    compute_unit: str | None = None
    logical_devices: int | None = Field(default=None, ge=1)
    link_name: str | None = None
    use: Use | None = None
    source: str = Field(min_length=1)
    date: date
    basis: Basis = "vendor"
    note: str = ""


class Measure(NamedTuple):
    """A figure as its text says: quantity, precision of a peak (else ""), value and unit."""

    quantity: str
    precision: str
    value: float
    unit: str


def read_device(raw: Mapping[str, Any], find: Callable[[str], Device]) -> tuple[Device | None, list[str]]:
    """Return the device of a TOML table, or None and a sentence for each fault; `find` knows the device of `like`."""
    measures, faults = _measures(raw)
    plain = {name: value for name, value in raw.items() if name not in FIELDS}
    entry, wrong = validated(_Entry, plain, EXAMPLES, also=tuple(FIELDS))
    faults += wrong
    like = None
    if isinstance(raw.get("like"), str):
        try:
            like = find(raw["like"])
        except FlopcastError as error:
            faults.append(f"like: {error}")
    elif entry is not None:
        lacking = [name for name in _NEEDED if getattr(entry, name) is None]
        faults += [f"it lacks {', '.join(lacking)} (or like = a device to start from)"] if lacking else []
    if entry is None or faults:
        return None, faults
    return _built(entry, like, tuple(_figure(entry, measure) for measure in measures)), []


def _built(entry: _Entry, like: Device | None, new: tuple[Figure, ...]) -> Device:
    """Put a device together: what the entry does not say is that of `like`, or its usual value where there is none."""
    figures = _merged(like.figures if like else (), new)
    said = {name: value for name in _TAKEN if (value := getattr(entry, name)) is not None}
    base = {name: getattr(like, name) for name in _TAKEN} if like else _USUAL
    return Device(
        id=entry.id,
        status="own",
        release_date=None,
        aliases=entry.aliases,
        figures=figures,
        note=entry.note,
        **{**base, "name": entry.id, **said},
        **figure_fields(figures),
    )


_USUAL: Mapping[str, Any] = {
    "architecture": "",
    "accounting_unit": "device",
    "compute_unit": "",
    "logical_devices": 1,
    "link_name": "",
    "use": "training",
}
_TAKEN = (*_NEEDED, *_USUAL)


def _measures(raw: Mapping[str, Any]) -> tuple[list[Measure], list[str]]:
    """Read every figure of a table; a text that is no amount of its kind becomes a fault."""
    found: dict[tuple[str, str], Measure] = {}
    faults: list[str] = []
    for quantity, precision, text in _texts(raw, faults):
        try:
            name = parse_precision(precision) if precision else ""
            value, unit = _amount(quantity, text)
        except FlopcastError as error:
            faults.append(f"{f'{quantity} {precision}'.strip()}: {error}")
            continue
        if (quantity, name) in found:
            faults.append(f"{quantity} {precision}: {name} is given twice")
        found[quantity, name] = Measure(quantity, name, value, unit)
    return list(found.values()), faults


def _texts(raw: Mapping[str, Any], faults: list[str]) -> list[tuple[str, str, str]]:
    texts: list[tuple[str, str, str]] = []
    for quantity in (name for name in raw if name in FIELDS):
        given = raw[quantity]
        if quantity not in PEAKS:
            texts.append((quantity, "", str(given)))
        elif isinstance(given, dict):
            texts += [(quantity, str(precision), str(peak)) for precision, peak in given.items()]
        else:
            faults.append(f'{quantity} is {given!r}, not a peak by precision. Try {{ bfloat16 = "700 TFLOP/s" }}')
    return texts


def _amount(quantity: str, text: str) -> tuple[float, str]:
    base = BASE_UNITS[quantity]
    return parse_measure(f"{text} 1" if base == "1" else text, base)


def _figure(entry: _Entry, measure: Measure) -> Figure:
    accumulate = _ACCUMULATE.get(measure.precision, "float32") if measure.precision else ""
    said = measure.value, measure.unit, entry.basis, (entry.source,), entry.date
    return Figure(measure.quantity, measure.precision, accumulate, *said)


def _merged(old: tuple[Figure, ...], new: tuple[Figure, ...]) -> tuple[Figure, ...]:
    replaced = {(figure.quantity, figure.precision) for figure in new}
    return tuple(figure for figure in old if (figure.quantity, figure.precision) not in replaced) + new
