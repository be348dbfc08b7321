"""The hardware database as this machine or team knows it: published tables, own devices, refreshed and own prices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardware_db.database import Database, load
from hardware_db.errors import StoreError
from hardware_db.records import Device
from hardware_db.store_place import store_exists


@dataclass(frozen=True)
class Here:
    """A database, and what could not be added to it: sentences for the user."""

    database: Database
    warnings: tuple[str, ...] = ()


def load_here(devices_file: Path | None = None) -> Here:
    """Return the published tables with this machine's additions laid over them.

    Own devices come from the store (a team shares them there) and from `devices_file`, else from the user's
    configuration folder if there is a file; the file counts more. Prices come from the store if there is one; of two
    prices of one machine the newer counts. A store that does not answer leaves the published tables and a warning.

    Raises
    ------
    DataError
        The file of own devices breaks its schema.
    """
    database, warnings = _with_store(load()) if store_exists() else (load(), ())
    file = devices_file or _default_devices_file()
    if file is not None:
        database = database.with_devices(read_file(file, database))
    return Here(database, warnings)


def read_file(file: Path, database: Database) -> tuple[Device, ...]:
    """Return the devices of a user's own file; the parser is imported only where there is a file."""
    from hardware_db.own import read_own_devices

    return read_own_devices(file, database)


def _with_store(database: Database) -> tuple[Database, tuple[str, ...]]:
    """Lay the store's devices and prices over a database; importing SQLAlchemy takes longer than loading all tables."""
    from hardware_db.store import open_store
    from hardware_db.store_documents import shared_devices

    try:
        store = open_store()
        devices, offers = shared_devices(store, database), store.offers()
    except StoreError as error:
        return database, (str(error),)
    database = database.with_devices(devices) if devices else database
    return database.with_offers(offers) if offers else database, ()


def _default_devices_file() -> Path | None:
    from platformdirs import user_config_path

    path = user_config_path("flopcast") / "devices.toml"
    return path if path.exists() else None
