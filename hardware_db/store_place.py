"""Where the store is, without opening it (and without importing SQLAlchemy)."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path


def sqlite_file() -> Path:
    """Return the SQLite file that holds the store when `FLOPCAST_DB` is not set."""
    return user_data_path("flopcast") / "flopcast.db"


def store_url() -> str:
    """Return the address of the store: `FLOPCAST_DB`, or SQLite in the user's data folder."""
    return os.environ.get("FLOPCAST_DB", "").strip() or f"sqlite:///{sqlite_file()}"


def store_exists() -> bool:
    """Whether there is a store to ask: an address was set, or the file is there."""
    return bool(os.environ.get("FLOPCAST_DB", "").strip()) or sqlite_file().exists()
