"""`flopcast hardware`: what is in the database, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.device_filters import SORTS, Filters, Offers, cheapest_offers, in_order, read_years
from estimator.cli.market_options import devices_option
from estimator.cli.model_options import ROWS
from estimator.cli.output import Answer, Output, output_options, plain
from estimator.cli.quantities import read_as
from hardware_db.errors import StoreError
from hardware_db.here import Here, load_here
from hardware_db.price_age import old_prices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimator.cli.observed import Observations
    from estimator.text.page import Page
    from hardware_db import Database, Device, Source

KINDS = ("cpu", "gpu", "tpu", "npu", "fpga", "edge", "mobile")
OFFERS_SHOWN = 10
NO = 1


@dataclass(frozen=True, slots=True)
class View:
    """How devices are shown: in which order, each with its sources, with how many offers (0: all)."""

    sort: str | None = None
    sources: bool = False
    limit: int = OFFERS_SHOWN


@click.command("hardware")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind of device.")
@click.option("--vendor", help="Only this vendor, for example AMD.")
@click.option("--min-memory", callback=read_as("bytes"), metavar="BYTES", help="At least this memory: 80GB.")
@click.option("--precision", callback=read_as("precision"), help="A peak in this precision is known: bf16, fp8.")
@click.option("--year", "years", callback=read_years, metavar="YEARS", help="Released then: 2022, 2020..2022, 2022..")
@click.option("--sort", type=click.Choice(tuple(SORTS)), help="Best first by this figure.")
@click.option("--sources", is_flag=True, help="Each figure with its basis, date and source.")
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
    here = load_here(devices_file)
    named = here.database.match(",".join(names)) if names else here.database.devices()
    devices = [device for device in named if Filters(**options).take(device)]
    output.show(_answer(here, devices, names, view))
    return 0 if devices else NO


def check_file(path: Path, output: Output) -> int:
    """Check a user's devices by the rules of the published ones; exit code 1 where a figure cannot be true."""
    from hardware_db.database import load
    from hardware_db.own import check_own_file

    devices, faults = check_own_file(path, load())
    said = "\n".join(faults) if faults else f"{path}: {len(devices)} devices, every figure passes"
    output.show(Answer("hardware", lambda page: said, lambda: [{"fault": fault} for fault in faults], {"check": path}))
    return NO if faults else 0


def _answer(here: Here, devices: Sequence[Device], names: tuple[str, ...], view: View) -> Answer:
    offers = cheapest_offers(here.database)
    ordered = in_order(devices, view.sort, offers)
    in_detail = view.sources or (len(names) > 0 and len(ordered) == 1)
    database, shown = here.database, [offers[device.id].offer for device in ordered if device.id in offers]
    if in_detail:
        shown = [offer for device in ordered for offer in database.offers(device.id)[: view.limit or None]]

    def text(page: Page) -> str:
        from estimator.text import devices as layout

        if in_detail:
            seen = _observations()
            pages = (layout.device_page(page, each, database, seen.of(each.id), view.limit) for each in ordered)
            return "\n".join(pages)
        return (layout.side_by_side if names else layout.device_list)(page, ordered, offers)

    def records() -> list[dict[str, object]]:
        seen = _observations() if in_detail else None
        return [_record(device, database, offers, seen) for device in ordered]

    warnings = (*here.warnings, *old_prices(shown))
    return Answer("hardware", text, records, {"names": names, "sort": view.sort}, warnings=warnings)


def _record(device: Device, database: Database, offers: Offers, seen: Observations | None) -> dict[str, object]:
    record: dict[str, object] = plain(device)
    cheapest = offers.get(device.id)
    record["cheapest_usd_per_device_hour"] = cheapest.usd_per_hour if cheapest else None
    record["cheapest_as_of"] = str(cheapest.offer.as_of) if cheapest else None
    if seen is None:
        del record["figures"]
        return record
    record["offers"] = plain(database.offers(device.id))
    record["measurements"] = plain(seen.of(device.id))
    record["sources"] = plain(_sources(device, database))
    return record


def _observations() -> Observations:
    """Return what was observed; a store that does not answer was already warned of."""
    from estimator.cli.observed import Observations, observations

    try:
        return observations()
    except StoreError:
        return Observations()


def _sources(device: Device, database: Database) -> list[Source]:
    keys = dict.fromkeys(key for figure in device.figures for key in figure.sources)
    return [database.sources[key] for key in keys if key in database.sources]
