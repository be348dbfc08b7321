"""Put the long table of figures together into one `Device` per row of `devices.csv`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hardware_db.errors import DataError
from hardware_db.records import BASES, KINDS, USES, Basis, Device, Figure, Kind, Source, Use
from hardware_db.tables import Row, day, optional_day, records, rows, words

#: Quantity of `specs.csv` to the field of `Device` that holds it; a peak goes into the mapping by precision.
FIELDS: Mapping[str, str] = {
    "matrix_peak": "matrix_peaks",
    "vector_peak": "vector_peaks",
    "memory": "memory_bytes",
    "visible_memory": "visible_memory_bytes",
    "memory_bandwidth": "memory_bandwidth_bytes_per_s",
    "compute_units": "compute_units",
    "boost_clock": "boost_clock_hz",
    "peak_clock": "peak_clock_hz",
    "l2_cache": "l2_cache_bytes",
    "l3_cache": "l3_cache_bytes",
    "link_bandwidth": "link_bandwidth_bytes_per_s",
    "bridge_bandwidth": "bridge_bandwidth_bytes_per_s",
    "internode_bandwidth": "internode_bandwidth_bytes_per_s",
    "host_link_bandwidth": "host_link_bandwidth_bytes_per_s",
    "devices_per_host": "devices_per_host",
    "tdp": "tdp_w",
    "launch_price": "launch_price_usd",
}
QUANTITIES = tuple(FIELDS)
_SUFFIXES = {"_peaks": "FLOP/s", "_bytes": "byte", "_bytes_per_s": "byte/s", "_hz": "Hz", "_w": "W", "_usd": "USD"}
#: Base unit of each quantity, by the suffix that its field's name carries.
BASE_UNITS: Mapping[str, str] = {
    quantity: next((unit for suffix, unit in _SUFFIXES.items() if name.endswith(suffix)), "1")
    for quantity, name in FIELDS.items()
}

_WHOLE = frozenset({"memory_bytes", "visible_memory_bytes", "l2_cache_bytes", "l3_cache_bytes", "devices_per_host"})
#: The quantities that come once per precision.
PEAKS = ("matrix_peak", "vector_peak")


def read_figure(row: Row) -> Figure:
    """Build a figure from a row of `specs.csv`."""
    if row["quantity"] not in FIELDS:
        raise ValueError(f"{row['quantity']!r} is no quantity. Quantities: {', '.join(QUANTITIES)}")
    return Figure(
        quantity=row["quantity"],
        precision=row["precision"],
        accumulate=row["accumulate"],
        value=float(row["value"]),
        unit=row["unit"],
        basis=read_basis(row["basis"]),
        sources=words(row["source"]),
        retrieved=day(row["retrieved"]),
        note=row["note"],
    )


def read_basis(text: str) -> Basis:
    """Return the basis that a cell names."""
    if text not in BASES:
        raise ValueError(f"{text!r} is no basis. Bases: {', '.join(BASES)}")
    return text


def read_kind(text: str) -> Kind:
    """Return the kind of device that a cell names."""
    if text not in KINDS:
        raise ValueError(f"{text!r} is no kind of device. Kinds: {', '.join(KINDS)}")
    return text


def read_use(text: str) -> Use:
    """Return what a device is made for, as a cell names it."""
    if text not in USES:
        raise ValueError(f"{text!r} is no use of a device. Uses: {', '.join(USES)}")
    return text


def read_source(row: Row) -> Source:
    """Build a source from a row of `sources.csv`."""
    return Source(row["key"], row["title"], row["publisher"], row["url"], row["licence"], day(row["retrieved"]))


def build_device(row: Row, figures: Iterable[Figure], aliases: tuple[str, ...]) -> Device:
    """Build a device from its row of `devices.csv`, its figures and its aliases."""
    figures = tuple(figures)
    return Device(
        id=row["id"],
        kind=read_kind(row["kind"]),
        vendor=row["vendor"],
        name=row["name"],
        architecture=row["architecture"],
        status=row["status"],
        release_date=optional_day(row["release_date"]),
        accounting_unit=row["accounting_unit"],
        compute_unit=row["compute_unit"],
        logical_devices=int(row["logical_devices"]),
        aliases=aliases,
        link_name=row["link_name"],
        use=read_use(row["use"]),
        release_basis=read_basis(row["release_basis"]) if row["release_basis"] else "docs",
        figures=figures,
        note=row["note"],
        **figure_fields(figures),
    )


def figure_fields(figures: tuple[Figure, ...]) -> dict[str, Any]:
    """Sort figures into the fields of a device; what nobody published stays at its default, None."""
    fields: dict[str, Any] = {"matrix_peaks": {}, "vector_peaks": {}}
    for figure in figures:
        name = FIELDS[figure.quantity]
        if figure.quantity in PEAKS:
            _add_peak(fields[name], figure)
        else:
            fields[name] = round(figure.base_value) if name in _WHOLE else figure.base_value
    return fields


def _add_peak(peaks: dict[str, float], figure: Figure) -> None:
    """Keep the peak with a 32-bit (or wider) accumulator: that is what training runs at.

    A 16-bit accumulator (GeForce, "fp16 accumulate") doubles the figure on paper; it stays among the figures.
    """
    if is_used(figure):
        peaks[figure.precision] = figure.base_value


def is_used(figure: Figure) -> bool:
    """Whether a figure becomes a field: all but matrix peaks with a 16-bit accumulator, which are there to be read."""
    return figure.accumulate != "float16" or figure.quantity != "matrix_peak"


def estimated_fields(device: Device) -> tuple[str, ...]:
    """Return the fields of a device that rest on an estimate: "memory_bandwidth_bytes_per_s", "matrix_peaks.bfloat16".

    A table without room for the basis of each figure names them in a column of its own.
    """
    estimates = (figure for figure in device.figures if figure.basis == "estimate" and is_used(figure))
    names = (".".join(part for part in (FIELDS[each.quantity], each.precision) if part) for each in estimates)
    dated = ("release_date",) if device.release_date and device.release_basis == "estimate" else ()
    return tuple(dict.fromkeys((*dated, *names)))


def read_devices() -> tuple[Device, ...]:
    """Build all published devices.

    Raises
    ------
    DataError
        A figure or an alias names a device that `devices.csv` does not have, or a table breaks its schema.
    """
    figures: dict[str, list[Figure]] = {}
    for row, figure in records("specs.csv", lambda row: (row["device"], read_figure(row))):
        figures.setdefault(row, []).append(figure)
    aliases: dict[str, list[str]] = {}
    for alias in rows("aliases.csv"):
        aliases.setdefault(alias["device"], []).append(alias["alias"])
    devices = records(
        "devices.csv",
        lambda row: build_device(row, figures.get(row["id"], ()), tuple(aliases.get(row["id"], ()))),
    )
    strays = (figures.keys() | aliases.keys()) - {device.id for device in devices}
    if strays:
        raise DataError(f"specs.csv or aliases.csv names devices that devices.csv lacks: {', '.join(sorted(strays))}")
    return devices
