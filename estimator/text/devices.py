"""Devices as text: the list, one line a device, and several side by side, one line a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimator.text.figures import ESTIMATED, price, published
from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table, table_width
from hardware_db.devices import estimated_fields

if TYPE_CHECKING:
    from estimator.cli.device_filters import Ranking
    from hardware_db import Device, Offer

PEAKS: Mapping[str, str] = {
    "fp64": "float64",
    "fp32": "float32",
    "tf32": "tf32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp8": "float8",
    "fp4": "float4",
    "int8": "int8",
    "int4": "int4",
}
"""Heading of a peak -> precision."""
_FLOATS = tuple(precision for precision in PEAKS.values() if not precision.startswith("int"))
CONVENTION = "Peaks are dense, 1 multiply-add = 2 FLOPs; ~ marks an estimate, - what nobody published"
MARKED = ("announced", "own", "derived")
"""Status that is said with a device's name: it cannot be bought yet, or nobody has published it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One device as it is shown: with the fields that are estimates, and what it is compared by."""

    device: Device
    ranking: Ranking
    estimated: frozenset[str]

    @classmethod
    def of(cls, device: Device, ranking: Ranking) -> Shown:
        """Find out which fields are estimates."""
        return cls(device, ranking, frozenset(estimated_fields(device)))


Cell = Callable[[Shown], str]


@dataclass(frozen=True, slots=True)
class Fact:
    """What is said of a device: the line of a comparison, the column of the list."""

    unit: str
    cell: Cell
    style: str = ""


def _field(name: str, unit: float = 1.0) -> Cell:
    return lambda shown: published(getattr(shown.device, name), unit, estimated=name in shown.estimated)


def _text(name: str) -> Cell:
    return lambda shown: str(getattr(shown.device, name) or MISSING)


def _peak(precision: str) -> Cell:
    def cell(shown: Shown) -> str:
        device = shown.device
        if not device.supports(precision):
            return MISSING
        engine = "matrix_peaks" if precision in device.matrix_peaks else "vector_peaks"
        estimated = f"{engine}.{precision}" in shown.estimated
        return published(device.peak_flops_per_s(precision), 1e12, estimated=estimated)

    return cell


def _unit(precision: str) -> str:
    return "TOP/s" if precision.startswith("int") else "TFLOP/s"


def _released(digits: int) -> Cell:
    """Show a date by its first digits: 4 for the year, 10 for the day."""

    def cell(shown: Shown) -> str:
        mark = ESTIMATED if "release_date" in shown.estimated else ""
        return f"{mark}{str(shown.device.release_date)[:digits]}" if shown.device.release_date else MISSING

    return cell


def _seen(shown: Shown) -> str:
    cheapest = shown.ranking.offers.get(shown.device.id)
    return str(cheapest.offer.as_of) if cheapest else MISSING


def _price(of: Callable[[Ranking, Device], float | None]) -> Cell:
    """Show a price; ~ where the price list does not name the device of the machine."""

    def cell(shown: Shown) -> str:
        cheapest = shown.ranking.offers.get(shown.device.id)
        guessed = cheapest is not None and cheapest.offer.basis == "estimate"
        return price(of(shown.ranking, shown.device), estimated=guessed)

    return cell


FACTS: Mapping[str, Fact] = {
    "kind": Fact("", _text("kind")),
    "vendor": Fact("", _text("vendor")),
    "architecture": Fact("", _text("architecture")),
    "status": Fact("", _text("status")),
    "year": Fact("", _released(4)),
    "released": Fact("", _released(10)),
    "memory": Fact("GiB", _field("memory_bytes", 2**30)),
    "bandwidth": Fact("GB/s", _field("memory_bandwidth_bytes_per_s", 1e9)),
    **{name: Fact(_unit(precision), _peak(precision)) for name, precision in PEAKS.items()},
    "units": Fact("", _field("compute_units")),
    "L2": Fact("MiB", _field("l2_cache_bytes", 2**20)),
    "joined by": Fact("", _text("link_name")),
    "link": Fact("GB/s", _field("link_bandwidth_bytes_per_s", 1e9)),
    "bridge": Fact("GB/s", _field("bridge_bandwidth_bytes_per_s", 1e9)),
    "network": Fact("GB/s", _field("internode_bandwidth_bytes_per_s", 1e9)),
    "per host": Fact("", _field("devices_per_host")),
    "TDP": Fact("W", _field("tdp_w")),
    "launch": Fact("USD", _field("launch_price_usd")),
    "from": Fact("$/H", _price(lambda ranking, device: ranking.usd_per_hour(device))),
    "per PFLOP/s": Fact("$/H", _price(lambda ranking, device: ranking.usd_per_hour_per_pflops(device))),
    "seen": Fact("", _seen, "dim"),
}
LIST: Mapping[str, int] = {
    "kind": 7,
    "vendor": 3,
    "year": 5,
    "memory": 11,
    "bandwidth": 9,
    "fp64": 1,
    "fp32": 8,
    "bf16": 0,
    "fp16": 6,
    "fp8": 4,
    "TDP": 2,
    "from": 0,
    "seen": 10,
}
"""Columns of the list, and their turn to go on a narrow page (0: never)."""
LEFT = ("kind", "vendor", "seen")
ASIDE = ("year", "per PFLOP/s")
"""Facts that no comparison side by side needs."""


def device_list(page: Page, devices: Sequence[Device], ranking: Ranking, sort: str | None = None) -> str:
    """Return one line a device, and what the figures mean; a precision or price that was asked for has its column."""
    if not devices:
        return page.render("No device is like that. All of them: flopcast hardware")
    columns = _columns(ranking.precision, sort) | _integer_column(devices)
    columns = {name: columns[name] for name in FACTS if name in columns}
    shown = [Shown.of(device, ranking) for device in devices]
    rows = [Row([_name(each.device), *(FACTS[name].cell(each) for name in columns)]) for each in shown]
    heads = [Column("HARDWARE", align="left"), *(_column(name, turn) for name, turn in columns.items())]
    cheapest = [ranking.offers[device.id].offer for device in devices if device.id in ranking.offers]
    footer = [
        ("Devices", f"{len(devices)}. {CONVENTION}"),
        (
            "Prices",
            f"the cheapest on-demand offer per device and hour{seen_text(cheapest)}; of a CPU, of all its cores"
            + guess_text(cheapest),
        ),
        ("Next", f"flopcast hardware {_example(devices, ranking, sort)}"),
    ]
    return page.render(*table(heads, rows, page.width), "", notes(footer))


def _columns(precision: str | None, sort: str | None) -> dict[str, int]:
    """Return the columns of the list: what was asked for is among them and stays on a narrow page."""
    turns = dict(LIST)
    asked = next((name for name, known in PEAKS.items() if known == (precision or "").removeprefix("amp_")), None)
    if asked is not None:
        turns |= {"bf16": 8, asked: 0}
    if sort == "price-per-pflop":
        turns["per PFLOP/s"] = 0
    return turns


def _example(devices: Sequence[Device], ranking: Ranking, sort: str | None) -> str:
    """Return the id to look at next: the best by the order asked for, else the fastest that can be rented."""
    rented = [device for device in devices if device.id in ranking.offers]
    if sort is not None or not rented:
        return devices[0].id
    return max(rented, key=lambda device: ranking.peak(device) or 0.0).id


def _integer_column(devices: Sequence[Device]) -> dict[str, int]:
    """Return the column of int8 where more devices have that alone than any peak of floats: neural engines, FPGAs."""
    floats = [any(map(each.supports, _FLOATS)) for each in devices]
    alone = sum(each.supports("int8") and not has for each, has in zip(devices, floats, strict=True))
    return {"int8": 0} if alone > sum(floats) else {}


def _column(name: str, turn: int) -> Column:
    fact = FACTS[name]
    return Column(name.upper(), fact.unit, align="left" if name in LEFT else "right", drop=turn, style=fact.style)


def _name(device: Device) -> str:
    return f"{device.id} ({device.status})" if device.status in MARKED else device.id


def seen_text(offers: Iterable[Offer]) -> str:
    """Return ", seen 2026-05-08 to 2026-07-20": the days of the oldest and the youngest price."""
    days = sorted(offer.as_of for offer in offers)
    return f", seen {' to '.join(str(day) for day in dict.fromkeys((days[0], days[-1])))}" if days else ""


def guess_text(offers: Iterable[Offer]) -> str:
    """Return what ~ at a price means, "" where no price has one."""
    guessed = any(offer.basis == "estimate" for offer in offers)
    return f"; {ESTIMATED}: the price list does not say which device its machine has, it was guessed" * guessed


def side_by_side(page: Page, devices: Sequence[Device], ranking: Ranking) -> str:
    """Return several devices as columns, one figure a line; those that the page is too narrow for follow below."""
    shown = [Shown.of(device, ranking) for device in devices]
    known = [name for name in FACTS if name not in ASIDE and any(FACTS[name].cell(each) != MISSING for each in shown)]
    parts: list[object] = []
    while shown:
        count = len(shown)
        while count > 1 and table_width(*_compared(known, shown[:count])) > page.width:
            count -= 1
        parts += [*table(*_compared(known, shown[:count]), page.width), ""]
        shown = shown[count:]
    footer = [("Figures", f"{CONVENTION}; links and network per direction"), *_price_note(devices, ranking)]
    return page.render(*parts, notes(footer))  # type: ignore[arg-type]  # lines of tables and empty lines


def _compared(names: Sequence[str], shown: Sequence[Shown]) -> tuple[list[Column], list[Row]]:
    columns = [Column("FIGURE", align="left"), Column("UNIT", align="left", style="dim")]
    columns += [Column(each.device.id) for each in shown]
    return columns, [Row([name, FACTS[name].unit, *(FACTS[name].cell(each) for each in shown)]) for name in names]


def _price_note(devices: Sequence[Device], ranking: Ranking) -> list[tuple[str, str]]:
    priced = [ranking.offers[device.id].offer for device in devices if device.id in ranking.offers]
    said = f"from: the cheapest on-demand offer per device and hour; of a CPU, of all its cores{guess_text(priced)}"
    return [("Prices", said)] * bool(priced)
