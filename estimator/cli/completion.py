"""What the TAB key offers after a command: names of models, devices, places, precisions, from the same tables.

Every function here is click's `shell_complete`: it gets what was typed so far and returns what would be understood.
A file of one's own that cannot be read offers nothing here; the command itself says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from hardware_db.errors import FlopcastError

if TYPE_CHECKING:
    from hardware_db.database import Database

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offering(names: Callable[[], Iterable[str]]) -> Completion:
    def complete(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in _continuing(names, typed)]

    return complete


def _continuing(names: Callable[[], Iterable[str]], typed: str) -> list[str]:
    """Return names that begin with what was typed, each once."""
    try:
        return [name for name in dict.fromkeys(names()) if name.casefold().startswith(typed.casefold())]
    except FlopcastError:
        return []


def _database() -> Database:
    from hardware_db.here import load_here

    return load_here().database


def _models() -> Iterable[str]:
    from profiles.models import zoo

    return (entry.name for entry in zoo.names())


def _devices() -> Iterable[str]:
    return (device.id for device in _database().devices())


def _optimizers() -> Iterable[str]:
    from estimator.memory.states import optimizers

    return optimizers()


def _precisions() -> Iterable[str]:
    from hardware_db.units import PRECISIONS

    return PRECISIONS


def _claims() -> Iterable[str]:
    from estimator.claims import claims

    return (claim.key for claim in claims())


def _places(field: str) -> Callable[[], Iterable[str]]:
    return lambda: sorted({place for offer in _database().all_offers if (place := getattr(offer, field))})


def model(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer names of models, and files where none begins like this."""
    names = _continuing(_models, typed)
    return [CompletionItem(name) for name in names] or [CompletionItem(typed, type="file")]


def devices(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the last of several devices: after `t4,h100` all of `t4,h100-sxm`, `t4,h100-pcie` ..."""
    before, comma, last = typed.rpartition(",")
    return [CompletionItem(before + comma + name) for name in _continuing(_devices, last)]


def side(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer one side of a comparison: MODEL or MODEL@DEVICE."""
    name, at, place = typed.rpartition("@")
    if not at:
        return model(context, parameter, typed)
    return [CompletionItem(f"{name}@{device}") for device in _continuing(_devices, place)]


device = _offering(_devices)
machine = _offering(lambda: (system.id for system in _database().systems))
optimizer = _offering(_optimizers)
precision = _offering(_precisions)
provider = _offering(_places("provider"))
region = _offering(_places("region"))
vendor = _offering(lambda: sorted({device.vendor for device in _database().devices()}))
claim = _offering(_claims)
