"""`flopcast --version`: the version of the code and the dates of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def version_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--version` to a command."""
    return click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version and the dates of the data.",
    )(function)


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    click.echo(version_text())
    context.exit()


def version_text() -> str:
    """Return one line: version, number of devices and offers, and how old the youngest and oldest price are."""
    from importlib.metadata import version

    import hardware_db

    database = hardware_db.load()
    offers = database.offers()
    dates = sorted(offer.as_of for offer in offers)
    prices = f"{len(offers)} offers, prices of {dates[0]} to {dates[-1]}" if dates else "no offers"
    return f"flopcast {version('flopcast')} · {len(database.devices())} devices · {prices}"
