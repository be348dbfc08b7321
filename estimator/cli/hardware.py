"""`flopcast hardware`: what is in the database, and who says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.device_filters import SORTS, Filters, Offers, cheapest_offers, in_order, read_years
from estimator.cli.output import Answer, Output, output_options, plain
from estimator.cli.quantities import read_as

if TYPE_CHECKING:
    from estimator.text.page import Page
    from hardware_db import Database, Device

KINDS = ("cpu", "gpu", "tpu", "npu", "fpga", "edge", "mobile")
OFFERS_SHOWN = 10


@click.command("hardware")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind of device.")
@click.option("--vendor", help="Only this vendor, for example AMD.")
@click.option("--min-memory", callback=read_as("bytes"), metavar="BYTES", help="At least this memory: 80GB.")
@click.option("--precision", callback=read_as("precision"), help="A peak in this precision is known: bf16, fp8.")
@click.option("--year", "years", callback=read_years, metavar="YEARS", help="Released then: 2022, 2020..2022, 2022..")
@click.option("--sort", type=click.Choice(tuple(SORTS)), help="Best first by this figure.")
@click.option("--sources", is_flag=True, help="Each figure with its basis, date and source.")
@click.option("--limit", type=click.IntRange(min=0), default=OFFERS_SHOWN, help="Offers shown a device; 0: all.")
@output_options
def command(names: tuple[str, ...], sort: str | None, sources: bool, limit: int, output: Output, **filters: Any) -> int:
    """Show the devices and prices of the database, and who says so.

    Without a NAME all devices are listed; one NAME shows each of its figures with source and date; several stand
    side by side. 'a100-*' takes all whose id begins so.
    """
    import hardware_db

    database = hardware_db.load()
    taken = Filters(**filters)
    offers = cheapest_offers(database)
    named = database.match(",".join(names)) if names else database.devices()
    devices = in_order([device for device in named if taken.take(device)], sort, offers)
    in_detail = sources or (len(names) > 0 and len(devices) == 1)

    def text(page: Page) -> str:
        from estimator.text import devices as layout

        if in_detail:
            return "\n".join(layout.device_page(page, device, database, limit) for device in devices)
        show = layout.side_by_side if names else layout.device_list
        return show(page, devices, offers)

    def records() -> list[dict[str, object]]:
        return [_record(device, database, offers, in_detail) for device in devices]

    run = {"names": names, **filters, "sort": sort}
    output.show(Answer(command="hardware", text=text, results=records, run=run))
    return 0 if devices else 1


def _record(device: Device, database: Database, offers: Offers, in_detail: bool) -> dict[str, object]:
    record: dict[str, object] = plain(device)
    cheapest = offers.get(device.id)
    record["cheapest_usd_per_device_hour"] = cheapest.usd_per_device_hour if cheapest else None
    if not in_detail:
        del record["figures"]
        return record
    record["offers"] = plain(database.offers(device.id))
    record["sources"] = [plain(source) for source in _sources(device, database)]
    return record


def _sources(device: Device, database: Database) -> Sequence[object]:
    keys = dict.fromkeys(key for figure in device.figures for key in figure.sources)
    return [database.sources[key] for key in keys if key in database.sources]
