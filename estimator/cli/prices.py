"""`flopcast prices`: refresh them, bring your own, see how they moved."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.market_options import PRICINGS
from estimator.cli.output import Answer, Output, output_options, plain
from estimator.cli.progress import progress
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.text.page import Page
    from hardware_db.store import Snapshot

FILE = click.Path(path_type=Path)


@click.group("prices")
def command() -> None:
    """Refresh the prices, bring your own, see how they moved."""


@command.command("refresh")
@click.option("--provider", "providers", multiple=True, help="Only this provider, repeatable; default: all known.")
@output_options
def refresh(providers: tuple[str, ...], output: Output) -> int:
    """Fetch today's public prices; on any failure the old ones stand."""
    from hardware_db.price_refresh import PROVIDERS, refresh_prices
    from hardware_db.store import open_store

    here = load_here(needs_own=False)
    with progress("Fetching prices", output):
        found = refresh_prices(open_store(), here.database, providers or PROVIDERS)
    results = [{"provider": provider, "offers": count} for provider, count in sorted(found.offers.items())]

    def text(page: Page) -> str:
        from estimator.text.prices import refresh_text

        return refresh_text(page, found)

    more = {"left_out": found.left_out, "snapshot": plain(found.snapshot)}
    asked = {"providers": providers}
    output.show(Answer("prices refresh", text, lambda: results, asked, warnings=here.warnings, more=more))
    return 0


@command.command("import")
@click.argument("file", metavar="FILE.csv", type=FILE)
@output_options
def import_list(file: Path, output: Output) -> int:
    """Add a price list of your own, all rows or none; the same list again adds nothing.

    The columns are those of the published table: provider, instance, region, device, device_count, pricing,
    usd_per_hour, as_of, and where known vcpus, cores, memory_gib, note.
    """
    from hardware_db.price_import import dear_reservations, import_prices, read_price_list
    from hardware_db.store import open_store

    here = load_here(needs_own=False)
    saved = import_prices(file, open_store(), here.database)
    warnings = (*here.warnings, *dear_reservations(read_price_list(file, here.database), here.database))
    said = _imported(saved, file)
    output.show(Answer("prices import", lambda page: said, lambda: [saved], {"file": file}, warnings=warnings))
    return 0


def _imported(saved: Snapshot, file: Path) -> str:
    count = f"{saved.offers} {'price' if saved.offers == 1 else 'prices'} of {file.name}"
    if saved.added:
        return f"Imported {count}. From now on they count; see flopcast hardware NAME\n"
    return f"Nothing added: imported on {saved.taken_at:%Y-%m-%d} already: {count}\n"


@command.command("history")
@click.argument("device", shell_complete=completion.device)
@click.option("--pricing", type=click.Choice(PRICINGS), help="Only this.")
@output_options
def history(device: str, pricing: str | None, output: Output) -> int:
    """Show what one DEVICE cost for an hour, by day and provider."""
    from hardware_db.price_history import price_history
    from hardware_db.store import open_store
    from hardware_db.store_place import store_exists

    here = load_here(needs_own=False)
    database = here.database
    frame = price_history(database, device, open_store() if store_exists() and here.store_answers else None)
    if pricing is not None:
        frame = frame[frame["pricing"] == pricing.replace("-", "_")]
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]

    def text(page: Page) -> str:
        from estimator.text.prices import history_text

        return history_text(page, database.device(device).id, rows, free=pricing == "free")

    asked = {"device": device, "today": date.today()}
    output.show(Answer("prices history", text, lambda: rows, asked, warnings=here.warnings))
    return 0 if rows else 1
