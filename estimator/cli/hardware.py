"""`flopcast hardware`: what is in the database, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.device_filters import (
    SORTS,
    Filters,
    Ranking,
    cheapest_offers,
    in_order,
    read_memory,
    read_years,
)
from estimator.cli.market_options import devices_option
from estimator.cli.model_options import ROWS
from estimator.cli.output import Answer, Output, output_options, plain
from estimator.cli.quantities import read_as
from hardware_db.devices import BASE_UNITS, estimated_fields
from hardware_db.errors import StoreError, UnknownDevice
from hardware_db.here import Here, load_here
from hardware_db.price_age import old_prices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimator.cli.observed import Observations
    from estimator.text.page import Page
    from hardware_db import Database, Device, Offer, Source

KINDS = ("cpu", "gpu", "tpu", "npu", "fpga", "edge", "mobile")
OFFERS_SHOWN = 10
NO = 1


@dataclass(frozen=True, slots=True)
class View:
    """How devices are shown: in which order, each with its sources, with how many offers (0: all)."""

    sort: str | None = None
    sources: bool = False
    limit: int = OFFERS_SHOWN


@dataclass(frozen=True, slots=True)
class Found:
    """The devices that were asked for, best first, by which `names`, and what they are compared by."""

    here: Here
    names: tuple[str, ...]
    devices: Sequence[Device]
    ranking: Ranking
    view: View

    @property
    def database(self) -> Database:
        """The database that they are in."""
        return self.here.database

    @property
    def in_detail(self) -> bool:
        """Whether each has a page of its own: its figures with their sources, its offers."""
        return self.view.sources or (len(self.names) > 0 and len(self.devices) == 1)


@click.command("hardware")
@click.argument("names", nargs=-1, shell_complete=completion.devices, metavar="[NAME]...")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind of device.")
@click.option("--vendor", shell_complete=completion.vendor, help="Only this vendor, for example AMD.")
@click.option("--min-memory", callback=read_memory, metavar="BYTES", help="At least this memory: 80GB.")
@click.option(
    "--precision",
    shell_complete=completion.precision,
    callback=read_as("precision"),
    help="A peak in this precision is known: bf16, fp8.",
)
@click.option("--year", "years", callback=read_years, metavar="YEARS", help="Released then: 2022, 2020..2022, 2022..")
@click.option("--sort", type=click.Choice(tuple(SORTS)), help="Best first by this figure, peaks in --precision.")
@click.option("--sources", is_flag=True, help="Each figure with its basis, date and source; in --csv one row a figure.")
@click.option("--limit", default=OFFERS_SHOWN, **ROWS, help="Offers shown a device; 0: all.")
@devices_option
@click.option("--check", type=click.Path(path_type=Path), metavar="FILE", help="Check a file of your own devices.")
@output_options
def command(
    names: tuple[str, ...], devices_file: Path | None, check: Path | None, output: Output, **options: Any
) -> int:
    """Show the devices and prices of the database, and who says so.

    Without a NAME all devices are listed; one NAME shows each of its figures with source and date; several stand
    side by side. 'a100-*' takes all whose id begins so.
    """
    if check is not None:
        return check_file(check, output)
    view = View(**{name: options.pop(name) for name in View.__dataclass_fields__})
    here, filters = load_here(devices_file), Filters(**options)
    filters.check(here.database)
    named = _named(here.database, names) if names else here.database.devices()
    ranking = Ranking(cheapest_offers(here.database), filters.precision)
    devices = in_order([device for device in named if filters.take(device)], view.sort, ranking)
    output.show(_answer(Found(here, names, devices, ranking, view)))
    return 0 if devices else NO


def _named(database: Database, names: tuple[str, ...]) -> tuple[Device, ...]:
    """Return the devices of these names; words that are none each may be one name that was not quoted: rtx 3060.

    Raises
    ------
    UnknownDevice, AmbiguousDevice
        Of the words where one of them is a name, else of the name that they are together.
    """
    try:
        return database.match(",".join(names))
    except UnknownDevice:
        if len(names) == 1 or any(database.names.candidates(name) for name in names):
            raise
    return (database.device(" ".join(names)),)


def check_file(path: Path, output: Output) -> int:
    """Check a user's file by the rules of the published tables; exit code 1 where a figure cannot be true."""
    from hardware_db.database import load
    from hardware_db.own import check_own_file

    found = check_own_file(path, load())
    count = f"devices: {len(found.own.devices)}, systems: {len(found.own.systems)}"
    passes = "no figure breaks a rule, not all could be checked" if found.unchecked else "every figure passes"
    said = [*(found.faults or (f"{path}: {passes} ({count})",)), *found.unchecked, *found.remarks]
    named = {"devices": [each.id for each in found.own.devices], "systems": [each.id for each in found.own.systems]}
    output.show(
        Answer(
            "hardware",
            lambda page: "\n".join(said),
            lambda: [{"fault": fault} for fault in found.faults],
            {"check": path},
            more={**named, "unchecked": found.unchecked, "remarks": found.remarks},
        )
    )
    return NO if found.faults else 0


def _answer(found: Found) -> Answer:
    shown = [found.ranking.offers[device.id].offer for device in found.devices if device.id in found.ranking.offers]
    if found.in_detail:
        limit = found.view.limit or None
        shown = [offer for device in found.devices for offer in found.database.whole_device_offers(device.id)[:limit]]
    return Answer(
        "hardware",
        lambda page: _text(page, found),
        lambda: _records(found),
        {"names": found.names, "sort": found.view.sort, "precision": found.ranking.precision},
        warnings=(*found.here.warnings, *old_prices(shown)),
        rows=(lambda: list(_figures(found))) if found.in_detail else None,
    )


def _text(page: Page, found: Found) -> str:
    from estimator.text.device_page import device_page
    from estimator.text.devices import device_list, side_by_side

    if not found.in_detail:
        if found.names and found.devices:
            return side_by_side(page, found.devices, found.ranking)
        return device_list(page, found.devices, found.ranking, found.view.sort)
    seen, limit = _observations(found.here), found.view.limit
    return "\n".join(device_page(page, each, found.database, seen.of(each.id), limit) for each in found.devices)


def _records(found: Found) -> list[dict[str, object]]:
    seen = _observations(found.here) if found.in_detail else None
    return [_record(device, found, seen) for device in found.devices]


def _record(device: Device, found: Found, seen: Observations | None) -> dict[str, object]:
    record: dict[str, object] = plain(device)
    del record["figures"]
    cheapest, database = found.ranking.offers.get(device.id), found.database
    record["estimated"] = list(estimated_fields(device))
    record["cheapest_usd_per_device_hour"] = cheapest.usd_per_hour if cheapest else None
    record["cheapest_as_of"] = str(cheapest.offer.as_of) if cheapest else None
    record["peak_flops_per_s"] = found.ranking.peak(device)
    record["usd_per_hour_per_pflops"] = found.ranking.usd_per_hour_per_pflops(device)
    if seen is None:
        return record
    record["figures"] = plain(device.figures)
    record["systems"] = plain([system for system in database.systems if system.device == device.id])
    record["offers"] = [_offer(offer, database) for offer in database.whole_device_offers(device.id)]
    record["measurements"] = plain(seen.of(device.id))
    record["sources"] = plain(_sources(device, database))
    return record


def _offer(offer: Offer, database: Database) -> dict[str, object]:
    """Return an offer with the price of one whole device: of a CPU that of all its cores."""
    return {**plain(offer), "usd_per_whole_device_hour": database.usd_per_whole_device_hour(offer)}


def _figures(found: Found) -> Iterator[dict[str, object]]:
    """Yield a row a figure: as published and in the base unit, with basis, day and source."""
    for device in found.devices:
        for figure in device.figures:
            sources = [found.database.sources[key] for key in figure.sources if key in found.database.sources]
            yield {
                "device": device.id,
                **plain(figure),
                "base_value": figure.base_value,
                "base_unit": BASE_UNITS[figure.quantity],
                "source_titles": [source.title for source in sources],
                "source_urls": [source.url for source in sources if source.url],
            }


def _observations(here: Here) -> Observations:
    """Return what was observed; a store that does not answer was already warned of and is not asked again."""
    from estimator.cli.observed import observations

    try:
        return observations(stored=here.store_answers)
    except StoreError:
        return observations(stored=False)


def _sources(device: Device, database: Database) -> list[Source]:
    keys = dict.fromkeys(key for figure in device.figures for key in figure.sources)
    return [database.sources[key] for key in keys if key in database.sources]
