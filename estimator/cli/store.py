"""`flopcast db`: the database of what grows on this machine or in a team."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from estimator.cli.output import Answer, Output, output_options

if TYPE_CHECKING:
    from estimator.text.page import Page

FILE = click.Path(path_type=Path)


@click.group("db")
def command() -> None:
    """Look into the database of your own prices and measurements, save it, fill it.

    It is a SQLite file in your data folder; a team shares one by FLOPCAST_DB=postgresql://...
    """


@command.command("info")
@output_options
def info(output: Output) -> int:
    """Show where the database is and what it holds."""
    from hardware_db.store import open_store

    store = open_store()
    place = store.engine.url.render_as_string(hide_password=True)
    _show("db info", store.counts(), f"in {place}", output)
    return 0


@command.command("export")
@click.argument("file", type=FILE)
@output_options
def export(file: Path, output: Output) -> int:
    """Write the whole database to one JSON file."""
    from hardware_db.store import open_store
    from hardware_db.store_transfer import export_store

    _show("db export", export_store(open_store(), file), f"written to {file}", output)
    return 0


@command.command("import")
@click.argument("file", type=FILE)
@output_options
def import_file(file: Path, output: Output) -> int:
    """Add what `flopcast db export` wrote and is not there yet, all of it or nothing."""
    from hardware_db.store import open_store
    from hardware_db.store_transfer import import_store

    added = import_store(open_store(), file)
    said = f"added from {file}" if any(added.values()) else f"added: none, all of {file} were there"
    _show("db import", added, said, output)
    return 0


@command.command("share")
@click.argument("file", type=FILE)
@output_options
def share(file: Path, output: Output) -> int:
    """Share a file of own devices and machines with all who use this database.

    It counts in every command from then on; a file of the same name is replaced.
    """
    from hardware_db import load
    from hardware_db.store import open_store
    from hardware_db.store_documents import share_devices

    own = share_devices(open_store(), file, load())
    ids = ", ".join([*(device.id for device in own.devices), *(system.id for system in own.systems)]) or "nothing"
    counts = {"devices": len(own.devices), "systems": len(own.systems)}
    _show("db share", counts, f"shared as {file.name}: {ids}", output)
    return 0


@command.command("unshare")
@click.argument("name")
@output_options
def unshare(name: str, output: Output) -> int:
    """Take a shared file of own devices back, by its name."""
    from hardware_db.store import open_store
    from hardware_db.store_documents import withdraw_devices

    store = open_store()
    withdraw_devices(store, name)
    _show("db unshare", store.counts(), f"left; {name} is shared no more", output)
    return 0


def _show(name: str, counts: Mapping[str, int], said: str, output: Output) -> None:
    def text(page: Page) -> str:
        from estimator.text.notes import notes

        return page.render(f"Rows {said}", "", notes((table, f"{count:,}") for table, count in counts.items()))

    results = [{"table": table, "rows": count} for table, count in counts.items()]
    output.show(Answer(name, text, lambda: results))
