"""One device as text: its figures and who says so, what was observed, who rents it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from estimator.text.device_facts import device_facts
from estimator.text.figures import ESTIMATED, figure, price
from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table

if TYPE_CHECKING:
    from hardware_db import Database, Device, Figure, Offer
    from hardware_db.records import Measurement

FIGURE_COLUMNS = (
    Column("FIGURE", align="left"),
    Column("VALUE", gap=1),
    Column("UNIT", align="left"),
    Column("SUMS IN", align="left", drop=2),
    Column("BASIS", align="left", style="dim", drop=3),
    Column("READ", align="left", style="dim", drop=1),
    Column("SOURCE", align="left", style="dim"),
)


def device_page(page: Page, device: Device, database: Database, observed: Sequence[Measurement], limit: int) -> str:
    """Return one device: its figures and their sources, what was observed, its `limit` cheapest offers (0: all)."""
    parts = [device_sources(page, device, database)]
    parts += [observations(page, device, observed)] if observed else []
    return "\n".join([*parts, offer_list(page, device, database, limit)])


def device_sources(page: Page, device: Device, database: Database) -> str:
    """Return every figure of a device as published, with basis, date and source, and where the sources are."""
    made = (device.name, device.vendor, device.kind, device.architecture, _released(device), _status(device))
    head = [(device.id, " · ".join(fact for fact in made if fact))]
    head += [("Also called", ", ".join(device.aliases))] if device.aliases else []
    head += [("Note", device.note)] if device.note else []
    rows = [Row(_figure_cells(item)) for item in device.figures]
    keys = dict.fromkeys(key for item in device.figures for key in item.sources)
    sources = [(key, _source(database, key)) for key in keys]
    figures = page.render(
        notes(head), "", *table(FIGURE_COLUMNS, rows, page.width), "", notes([*_how(device), *sources])
    )
    facts = list(device_facts(database, device))
    return f"{figures}\n{page.render(notes(facts))}" if facts else figures


def _released(device: Device) -> str:
    about = "about " if device.release_basis == "estimate" else ""
    return f"released {about}{device.release_date}" if device.release_date else ""


def _status(device: Device) -> str:
    return "" if device.status == "available" else device.status


def _figure_cells(item: Figure) -> list[str]:
    mark = ESTIMATED if item.basis == "estimate" else ""
    unit = "" if item.unit == "1" else item.unit
    said = [item.accumulate, item.basis, str(item.retrieved), ",".join(item.sources)]
    return [_label(item), f"{mark}{item.value:,.10g}", unit, *said]


def _label(item: Figure) -> str:
    return f"{item.quantity.replace('_', ' ')} {item.precision}".strip()


def _how(device: Device) -> Iterator[tuple[str, str]]:
    """Yield the notes of the figures: how a derived one follows, what is odd about a published one."""
    said: dict[str, list[str]] = {}
    for item in device.figures:
        if item.note:
            said.setdefault(item.note, []).append(_label(item))
    lines = [f"{', '.join(dict.fromkeys(labels))}: {note}" for note, labels in said.items()]
    if lines:
        yield "How", "\n".join(lines)


def _source(database: Database, key: str) -> str:
    source = database.sources.get(key)
    if source is None:
        return "not in the list of sources"
    return ", ".join(part for part in (source.title, source.publisher, source.url) if part)


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
PART_COLUMNS = (*OFFER_COLUMNS[:3], Column("CORES"), Column("VCPUS", drop=4), *OFFER_COLUMNS[4:])
"""Columns of the offers of a processor, which is rented in parts."""


def offer_list(page: Page, device: Device, database: Database, limit: int) -> str:
    """Return the cheapest offers by the price of one whole device, one line each; all of them where `limit` is 0."""
    offers = database.whole_device_offers(device.id)
    if not offers:
        return page.render("No offer is known: estimate with your own price, --price NAME=USD")
    shown = offers[:limit] if limit else offers
    rest = [f"…{len(offers) - len(shown)} more: --limit 0"] if len(offers) > len(shown) else []
    columns = PART_COLUMNS if device.kind == "cpu" else OFFER_COLUMNS
    lines = table(columns, [Row(_offer_cells(offer, database)) for offer in shown], page.width)
    said = list(_about_offers(device, shown))
    return page.render(*lines, *rest, "", notes(said)) if said else page.render(*lines, *rest)


def _about_offers(device: Device, shown: Sequence[Offer]) -> Iterator[tuple[str, str]]:
    if device.kind == "cpu":
        yield "Device", f"$/DEVICE/H is that of all {device.compute_units or 0:g} cores, by the price of those rented"
    guesses = dict.fromkeys(offer.note for offer in shown if offer.basis == "estimate")
    if guesses:
        yield "Guessed", f"{ESTIMATED} {'; '.join(note for note in guesses if note) or 'the device is a guess'}"


def _offer_cells(offer: Offer, database: Database) -> list[str]:
    guessed = offer.basis == "estimate"
    counts = [str(offer.device_count)] if offer.cores is None else [figure(offer.cores), figure(offer.vcpus)]
    return [
        offer.provider,
        offer.instance,
        offer.region,
        *counts,
        offer.pricing.replace("_", "-"),
        price(offer.usd_per_hour, estimated=guessed),
        price(database.usd_per_whole_device_hour(offer), estimated=guessed),
        str(offer.as_of),
    ]
