"""Devices as text: the list, one device with the source of each figure, several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from estimator.text.device_facts import device_facts
from estimator.text.figures import figure, price
from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table

if TYPE_CHECKING:
    from estimator.cli.device_filters import Cheapest
    from hardware_db import Database, Device, Figure, Offer
    from hardware_db.records import Measurement

PEAKS = (("FP64", "float64"), ("FP32", "float32"), ("BF16", "bfloat16"), ("FP16", "float16"), ("FP8", "float8"))
CONVENTION = "Peaks are dense, 1 multiply-add = 2 FLOPs; ~ marks an estimate, - what nobody published"

LIST_COLUMNS = (
    Column("HARDWARE", align="left"),
    Column("KIND", align="left", drop=7),
    Column("VENDOR", align="left", drop=3),
    Column("YEAR", drop=5),
    Column("MEMORY", "GiB"),
    Column("BANDWIDTH", "GB/s"),
    Column("FP64", "TFLOP/s", drop=1),
    Column("FP32", "TFLOP/s", drop=8),
    Column("BF16", "TFLOP/s"),
    Column("FP16", "TFLOP/s", drop=6),
    Column("FP8", "TFLOP/s", drop=4),
    Column("TDP", "W", drop=2),
    Column("FROM", "$/H"),
    Column("SEEN", align="left", style="dim"),
)


def device_list(page: Page, devices: Sequence[Device], cheapest: Mapping[str, Cheapest]) -> str:
    """Return one line a device, and what the figures mean."""
    if not devices:
        return page.render("No device is like that. All of them: flopcast hardware")
    rows = [Row(_list_cells(device, cheapest.get(device.id))) for device in devices]
    seen = seen_text(cheapest[device.id].offer for device in devices if device.id in cheapest)
    footer = [
        ("Devices", f"{len(devices)}. {CONVENTION}"),
        ("Prices", f"the cheapest on-demand offer per device and hour{seen}; of a CPU, of all its cores"),
        ("Next", f"flopcast hardware {devices[0].id}"),
    ]
    return page.render(*table(LIST_COLUMNS, rows, page.width), "", notes(footer))


def seen_text(offers: Iterable[Offer]) -> str:
    """Return ", seen 2026-05-08 to 2026-07-20": the days of the oldest and the youngest price."""
    days = sorted(offer.as_of for offer in offers)
    return f", seen {' to '.join(str(day) for day in dict.fromkeys((days[0], days[-1])))}" if days else ""


def _list_cells(device: Device, cheapest: Cheapest | None) -> list[str]:
    estimated = {item.quantity for item in device.figures if item.basis == "estimate"}
    year = str(device.release_date.year) if device.release_date else MISSING
    return [
        device.id,
        device.kind,
        device.vendor,
        year,
        figure(device.memory_bytes, 2**30, estimated="memory" in estimated),
        figure(device.memory_bandwidth_bytes_per_s, 1e9, estimated="memory_bandwidth" in estimated),
        *(_peak(device, precision) for _, precision in PEAKS),
        figure(device.tdp_w, estimated="tdp" in estimated),
        price(cheapest.usd_per_hour if cheapest else None),
        str(cheapest.offer.as_of) if cheapest else MISSING,
    ]


def _peak(device: Device, precision: str) -> str:
    if not device.supports(precision):
        return MISSING
    engine = "matrix_peak" if precision in device.matrix_peaks else "vector_peak"
    bases = {item.basis for item in device.figures if (item.quantity, item.precision) == (engine, precision)}
    return figure(device.peak_flops_per_s(precision), 1e12, estimated=bases == {"estimate"})


FIGURE_COLUMNS = (
    Column("FIGURE", align="left"),
    Column("PRECISION", align="left"),
    Column("VALUE"),
    Column("UNIT", align="left"),
    Column("BASIS", align="left", style="dim"),
    Column("READ", align="left", style="dim", drop=1),
    Column("SOURCE", align="left", style="dim"),
)


def device_page(page: Page, device: Device, database: Database, observed: Sequence[Measurement], limit: int) -> str:
    """Return one device: its figures and their sources, what was observed, its `limit` cheapest offers (0: all)."""
    parts = [device_sources(page, device, database)]
    parts += [observations(page, device, observed)] if observed else []
    return "\n".join([*parts, offer_list(page, database.offers(device.id), limit)])


OBSERVED_COLUMNS = (
    Column("OBSERVED", align="left"),
    Column("PRECISION", align="left"),
    Column("CASE", align="left", drop=1),
    Column("VALUE"),
    Column("UNIT", align="left"),
    Column("OF PUBLISHED"),
    Column("SEEN", align="left", style="dim"),
    Column("BY", align="left", style="dim", drop=2),
)


def observations(page: Page, device: Device, observed: Sequence[Measurement]) -> str:
    """Return what was observed on a device, one line each, and which share of the published figure that is."""
    return page.render(*table(OBSERVED_COLUMNS, [Row(_observed_cells(device, item)) for item in observed], page.width))


def _observed_cells(device: Device, item: Measurement) -> list[str]:
    scale, unit = {"FLOP/s": (1e12, "TFLOP/s"), "byte/s": (1e9, "GB/s")}.get(item.unit, (1.0, item.unit))
    published = device.memory_bandwidth_bytes_per_s if item.unit == "byte/s" else None
    if item.unit == "FLOP/s" and item.precision and device.supports(item.precision):
        published = device.peak_flops_per_s(item.precision)
    share = f"{item.value / published:.0%}" if published else MISSING
    value = figure(item.value, scale)
    return [item.quantity, item.precision, item.shape, value, unit, share, str(item.as_of), item.source]


def device_sources(page: Page, device: Device, database: Database) -> str:
    """Return every figure of a device as published, with basis, date and source, and where the sources are."""
    made = (device.name, device.vendor, device.kind, device.architecture, _released(device))
    head = [(device.id, " · ".join(fact for fact in made if fact))]
    head += [("Also called", ", ".join(device.aliases))] if device.aliases else []
    head += [("Note", device.note)] if device.note else []
    rows = [Row(_figure_cells(item)) for item in device.figures]
    keys = dict.fromkeys(key for item in device.figures for key in item.sources)
    sources = notes((key, _source(database, key)) for key in keys)
    figures = page.render(notes(head), "", *table(FIGURE_COLUMNS, rows, page.width), "", sources)
    facts = list(device_facts(database, device))
    return f"{figures}\n{page.render(notes(facts))}" if facts else figures


def _released(device: Device) -> str:
    return f"released {device.release_date}" if device.release_date else ""


def _figure_cells(item: Figure) -> list[str]:
    name = item.quantity.replace("_", " ")
    precision = f"{item.precision} ({item.accumulate} accumulate)" if item.accumulate else item.precision
    unit = "" if item.unit == "1" else item.unit
    return [name, precision, f"{item.value:,.10g}", unit, item.basis, str(item.retrieved), ", ".join(item.sources)]


def _source(database: Database, key: str) -> str:
    source = database.sources.get(key)
    if source is None:
        return "not in the list of sources"
    return ", ".join(part for part in (source.title, source.publisher, source.url) if part)


def side_by_side(page: Page, devices: Sequence[Device], cheapest: Mapping[str, Cheapest]) -> str:
    """Return several devices as columns, one quantity a line; where the page is narrow the last ones are left out."""
    places = range(len(devices))
    columns = [Column("FIGURE", align="left"), Column("UNIT", align="left", style="dim")]
    columns += [Column(devices[place].id, drop=len(devices) - place) for place in places]
    cells = [_list_cells(device, cheapest.get(device.id)) for device in devices]
    rows = [
        Row([column.header.lower(), column.unit, *(cells[place][line] for place in places)])
        for line, column in enumerate(LIST_COLUMNS)
        if line > 0
    ]
    return page.render(*table(columns, rows, page.width), "", notes([("Figures", CONVENTION)]))


OFFER_COLUMNS = (
    Column("PROVIDER", align="left"),
    Column("INSTANCE", align="left", drop=2),
    Column("REGION", align="left"),
    Column("DEVICES"),
    Column("PRICING", align="left"),
    Column("$/H"),
    Column("$/DEVICE/H", drop=3),
    Column("SEEN", align="left", drop=1, style="dim"),
)


def offer_list(page: Page, offers: Sequence[Offer], limit: int) -> str:
    """Return the cheapest offers, one line each; all of them where `limit` is 0."""
    if not offers:
        return page.render("No offer is known: estimate with your own price, --price NAME=USD")
    shown = offers[:limit] if limit else offers
    rest = [f"…{len(offers) - len(shown)} more: --limit 0"] if len(offers) > len(shown) else []
    return page.render(*table(OFFER_COLUMNS, [Row(_offer_cells(offer)) for offer in shown], page.width), *rest)


def _offer_cells(offer: Offer) -> list[str]:
    return [
        offer.provider,
        offer.instance,
        offer.region,
        str(offer.device_count),
        offer.pricing.replace("_", "-"),
        price(offer.usd_per_hour),
        price(offer.usd_per_device_hour),
        str(offer.as_of),
    ]
