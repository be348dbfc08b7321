"""The options that say where a run may take place and at which price: shared by every command that compares."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from estimator.cli import completion
from estimator.cli.quantities import read_integers
from hardware_db.errors import QuantityError, UsageError, one_line
from hardware_db.places import check_place
from hardware_db.records import Offer, Pricing

if TYPE_CHECKING:
    from hardware_db import Database

PRICINGS = tuple(name.replace("_", "-") for name in get_args(Pricing))


@dataclass(frozen=True, slots=True)
class Market:
    """Which hardware and offers to compare; None: all. `prices` are the user's own, USD per device and hour."""

    hardware: str | None = None
    counts: tuple[int, ...] | None = None
    provider: str | None = None
    region: str | None = None
    pricing: str = "on-demand"
    prices: Mapping[str, float] = field(default_factory=dict)
    derived_prices: bool = False
    all_offers: bool = False
    devices_file: Path | None = None

    @property
    def only_name(self) -> str | None:
        """The one device that is asked for, None where there may be several."""
        several = self.hardware is None or any(mark in self.hardware for mark in ",*?[")
        return None if several else self.hardware

    def choice(self, database: Database) -> dict[str, Any]:
        """Return it as the keyword arguments of `estimator.estimate_all`, with the own prices in the database.

        Raises
        ------
        UsageError
            No hardware is named where some was to be.
        NoPrice
            No current offer is of this provider, or of it in this region.
        """
        if self.hardware is not None and not self.hardware.strip():
            raise UsageError(
                "--hardware names nothing. Leave it out for all, or name some: --hardware h100-sxm,'a100-*'"
            )
        if not self.prices:
            check_place(database, self.provider, self.region)
        return {
            "devices": self.hardware,
            "counts": self.counts,
            "provider": self.provider,
            "region": self.region,
            "pricing": self.pricing.replace("-", "_"),
            "all_offers": self.all_offers,
            "database": self._priced(database),
        }

    def _priced(self, database: Database) -> Database:
        if self.derived_prices:
            database = self._with_derived_prices(database)
        if not self.prices:
            return database
        own = [offer for name, price in self.prices.items() for offer in own_offers(database, name, price, self)]
        named = {offer.device for offer in own}
        others = tuple(offer for offer in database.all_offers if offer.device not in named)
        return replace(database, own_offers=(*others, *own))

    def _with_derived_prices(self, database: Database) -> Database:
        from hardware_db.price_history import with_derived_prices

        if self.provider is None or self.region is None:
            raise UsageError("--derived-prices needs --provider and --region: where prices are brought to")
        return with_derived_prices(database, self.provider, self.region)


def own_offers(database: Database, name: str, usd_per_hour: float, market: Market) -> list[Offer]:
    """Return a price of the user's as offers of machines that have as many devices as are asked for.

    A machine holds at most what the user's own system holds, else the vendor's; more devices are several machines.
    """
    device = database.device(name)
    system = database.own_system(device.id)
    largest = (device if system is None else device.within(system)).devices_per_host or 1
    sizes = sorted({min(count, largest) for count in market.counts or (1, largest)})
    machines = {size: f"own price of {size}" if system is None else system.id for size in sizes}
    return [_own_offer(device.id, size, usd_per_hour, market, machine) for size, machine in machines.items()]


def _own_offer(device: str, size: int, usd_per_device_hour: float, market: Market, machine: str) -> Offer:
    return Offer(
        provider=market.provider or "own",
        instance=machine,
        region=market.region or "-",
        device=device,
        device_count=size,
        vcpus=None,
        cores=None,
        memory_bytes=None,
        pricing=market.pricing.replace("-", "_"),  # type: ignore[arg-type]  # click.Choice has checked it
        usd_per_hour=usd_per_device_hour * size,
        as_of=date.today(),
        source="--price",
        kind="vm",
    )


def derived_prices(offers: Sequence[Offer]) -> tuple[str, ...]:
    """Return a sentence that names the prices nobody published; nothing if there are none."""
    derived = list(dict.fromkeys(offer for offer in offers if offer.basis == "derived"))
    if not derived:
        return ()
    first = f"{derived[0].instance} is the {derived[0].note}"
    return (f"{len(derived)} of {len(set(offers))} prices are derived, not published: {first}",)


def read_prices(_context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    """Read own prices, `h100-sxm=1.85`: USD per device and hour."""
    from hardware_db.units import parse_usd

    prices = {}
    for text in texts:
        name, equals, price = text.rpartition("=")
        if not equals or not name:
            raise UsageError(
                f"{parameter.opts[0]} {one_line(text)}: give a device and USD per hour, for example h100-sxm=1.85"
            )
        try:
            prices[name] = parse_usd(price)
        except QuantityError as error:
            raise QuantityError(f"{parameter.opts[0]} {one_line(text)}: {error}") from error
        if prices[name] <= 0:
            raise UsageError(f"{parameter.opts[0]} {one_line(text)}: a price is above 0")
    return prices


def market_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a `Market`; the command receives it as `market`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **parameters: Any) -> int:
        market = Market(**{name: parameters.pop(name) for name in Market.__dataclass_fields__})
        return command(*args, market=market, **parameters)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


devices_option = click.option(
    "--devices",
    "devices_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file of your own devices; default: devices.toml in your configuration folder.",
)
_OPTIONS = (
    click.option(
        "--hardware",
        shell_complete=completion.devices,
        metavar="NAMES",
        help="Only these: h100-sxm,tpu-v5e or 'a100-*'; default: all.",
    ),
    click.option("--count", "counts", callback=read_integers, metavar="N[,N]", help="Devices in use: 8 or 1,8,64."),
    click.option("--provider", shell_complete=completion.provider, help="Only this provider: aws, gcp ..."),
    click.option("--region", shell_complete=completion.region, help="Only this region: us-east-1 ..."),
    click.option("--pricing", type=click.Choice(PRICINGS), default="on-demand", help="Default: on-demand."),
    click.option(
        "--price",
        "prices",
        multiple=True,
        callback=read_prices,
        metavar="NAME=USD",
        help="Own price an hour.",
    ),
    click.option("--derived-prices", is_flag=True, help="Also prices brought to --region from others, marked derived."),
    click.option("--all-offers", is_flag=True, help="Every offer, not only the cheapest of each hardware."),
    devices_option,
)
