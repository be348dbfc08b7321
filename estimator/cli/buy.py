"""`flopcast buy`: whether to buy a device or to rent it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.market_options import devices_option
from estimator.cli.output import Answer, Output, output_options
from estimator.cli.quantities import read_as, read_utilisation
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.advice.buying import BuyOrRent
    from estimator.text.page import Page

NO = 1
"""Exit code of "answered: rent"."""

_USD: dict[str, Any] = {"callback": read_as("usd"), "metavar": "USD"}


@click.command("buy")
@click.argument("device", shell_complete=completion.device)
@click.option("--utilisation", type=float, callback=read_utilisation, default=0.5, help="Share of hours it works: 0.5.")
@click.option("--quote", "usd", help="Price of one device; default: the newest published.", **_USD)
@click.option("--host-price", "host_usd", help="Its share of a host and network; default: none.", **_USD)
@click.option("--life", "life_years", type=float, metavar="YEARS", help="How long it is kept; default: 4.")
@click.option("--resale", "resale_share", type=float, metavar="SHARE", help="Of the price, at the end; default: 0.2.")
@click.option("--pue", "effectiveness", type=float, metavar="N", help="Power usage effectiveness; default: 1.56.")
@click.option("--electricity", "usd_per_kwh", type=float, metavar="USD", help="A kWh; default: the world's average.")
@click.option("--hosting", "hosting_usd_per_month", help="Space, hands and traffic a month.", **_USD)
@click.option(
    "--pricing",
    type=click.Choice(["on-demand", "spot", "reserved-1y", "reserved-3y"]),
    default="on-demand",
    help="How what it is compared with is rented.",
)
@devices_option
@output_options
def command(device: str, pricing: str, devices_file: Path | None, output: Output, **options: Any) -> int:
    """Compare buying DEVICE with its cheapest offer: dollars an hour, break-even month and utilisation.

    Exit code 1: renting is cheaper at this utilisation.
    """
    from estimator.advice.buying import Purchase, buy_or_rent

    here = load_here(devices_file)
    purchase = Purchase(**{name: value for name, value in options.items() if value is not None})
    found = buy_or_rent(here.database.device(device), here.database, purchase, pricing.replace("-", "_"))
    output.show(Answer("buy", lambda page: _text(page, found), lambda: [found.to_dict()], warnings=here.warnings))
    return 0 if found.buy else NO


def _text(page: Page, found: BuyOrRent) -> str:
    from estimator.text.buying import buying_text

    return buying_text(found, page)
