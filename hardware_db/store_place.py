"""Where the store is, without opening it (and without importing SQLAlchemy)."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path

from hardware_db.errors import StoreError

POSTGRESQL_PORT = 5432


def sqlite_file() -> Path:
    """Return the SQLite file that holds the store when `FLOPCAST_DB` is not set."""
    return _sqlite_file(os.environ.get("XDG_DATA_HOME"), os.environ.get("HOME"))


@lru_cache(maxsize=8)
def _sqlite_file(*_what_it_follows: str | None) -> Path:
    """Estimates ask a thousand times; it changes with these variables alone."""
    return user_data_path("flopcast") / "flopcast.db"


def store_url() -> str:
    """Return the address of the store: `FLOPCAST_DB`, or SQLite in the user's data folder."""
    return os.environ.get("FLOPCAST_DB", "").strip() or f"sqlite:///{sqlite_file()}"


def store_exists() -> bool:
    """Whether there is a store to ask: an address was set, or the file is there."""
    return bool(os.environ.get("FLOPCAST_DB", "").strip()) or sqlite_file().exists()


def store_may_hold(table: Literal["own_devices", "machine_profiles"]) -> bool:
    """Whether there is a store to ask for rows of a table; a file is looked into without importing SQLAlchemy."""
    if os.environ.get("FLOPCAST_DB", "").strip() or not sqlite_file().exists():
        return store_exists()
    try:
        with closing(sqlite3.connect(f"{sqlite_file().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True


def check_reachable(host: str | None, port: int, seconds: float) -> None:
    """Refuse a server that does not take a connection in time; a socket of this machine or several hosts are not asked.

    A driver waits that long for each address of a name, and without end for the name itself.

    Raises
    ------
    StoreError
        Nobody answers there.
    """
    if not host or host.startswith("/") or "," in host:
        return
    said: list[str] = []

    def ask() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            said.append("")
        except OSError as error:
            said.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    fault = said[0] if said else f"no answer in {seconds:g} s"
    if fault:
        raise StoreError(
            f"The database at {host}:{port} cannot be reached ({fault}).\n"
            "Published tables answer without it; FLOPCAST_DB names another"
        )
