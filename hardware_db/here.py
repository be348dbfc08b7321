"""The hardware database as this machine or team knows it: published tables, own devices, refreshed and own prices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardware_db.database import Database, load
from hardware_db.errors import StoreError
from hardware_db.records import Offer
from hardware_db.store_place import store_exists


@dataclass(frozen=True)
class Here:
    """A database, and what could not be added to it: sentences for the user."""

    database: Database
    warnings: tuple[str, ...] = ()


def load_here(devices_file: Path | None = None) -> Here:
    """Return the published tables with this machine's additions laid over them.

    Own devices come from `devices_file`, else from the user's configuration folder if there is a file. Prices come
    from the store if there is one; of two prices of one machine the newer counts. A store that does not answer leaves
    the published prices and a warning.

    Raises
    ------
    DataError
        The file of own devices breaks its schema.
    """
    database = load(devices_file or _default_devices_file())
    try:
        stored = _stored_offers()
    except StoreError as error:
        return Here(database, (str(error),))
    return Here(database.with_offers(stored) if stored else database)


def _default_devices_file() -> Path | None:
    from platformdirs import user_config_path

    path = user_config_path("flopcast") / "devices.toml"
    return path if path.exists() else None


def _stored_offers() -> tuple[Offer, ...]:
    """Ask the store only if there is one: importing SQLAlchemy takes longer than loading all tables."""
    if not store_exists():
        return ()
    from hardware_db.store import open_store

    return open_store().offers()
