"""Names that are no devices: machines of price lists, providers and their regions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hardware_db.errors import NoPrice

if TYPE_CHECKING:
    from hardware_db.database import Database

#: Regions that a message lists.
LISTED = 40


def machine_named(database: Database, name: str) -> str | None:
    """Return what is said of a name that is no device but a machine: a system, or an instance of a provider."""
    wanted = name.casefold()
    for system in database.systems:
        if wanted in (system.id, system.name.casefold(), *(known.casefold() for known in system.instances)):
            return _said(name, system.name, system.devices_per_host, system.device)
    for offer in database.all_offers:
        if wanted == offer.instance.casefold():
            return _said(name, f"{offer.provider} {offer.instance}", offer.device_count, offer.device)
    return None


def _said(name: str, machine: str, count: int, device: str) -> str:
    return f"{name!r} is a machine, not a device: {machine} has {count} × {device}. Name the device: {device}"


def check_place(database: Database, provider: str | None, region: str | None) -> None:
    """Refuse a provider, or a region of a named provider, that no current offer has.

    Raises
    ------
    NoPrice
        The message lists close names and what there is.
    """
    if provider is None:
        return
    regions: dict[str, set[str]] = {}
    for offer in database.offers():
        regions.setdefault(offer.provider, set()).add(offer.region)
    if provider not in regions:
        raise NoPrice(f"No provider {provider!r}. {_there_is('Providers', provider, regions)}")
    if region is not None and region not in regions[provider]:
        there = _there_is(f"Regions of {provider}", region, regions[provider])
        raise NoPrice(f"{provider} has no price in {region!r}. {there}")


def _there_is(label: str, name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name.casefold(), known, n=3)
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    hint = f"Did you mean {', '.join(close)}? " if close else ""
    return f"{hint}{label}: {', '.join(known[:LISTED])}{more}"
