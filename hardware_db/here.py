"""The hardware database as this machine or team knows it: published tables, own devices, refreshed and own prices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_db.database import Database, load
from hardware_db.errors import DataError, StoreError
from hardware_db.store_place import store_exists, store_may_hold

if TYPE_CHECKING:
    from hardware_db.own import Own


@dataclass(frozen=True)
class Here:
    """A database, and what could not be added to it: sentences for the user; whether the store, if any, answers."""

    database: Database
    warnings: tuple[str, ...] = ()
    store_answers: bool = True


def load_here(devices_file: Path | str | None = None, *, needs_own: bool = True, needs_prices: bool = True) -> Here:
    """Return the published tables with this machine's additions laid over them.

    Own devices and systems come from the store (a team shares them there) and from `devices_file`, else from the user's
    configuration folder if there is a file; the file counts more. Prices come from the store if there is one; of two
    prices of one machine the newer counts. A store that does not answer, or holds a file that breaks the schema, leaves
    the published tables and a warning. So does a broken file in the configuration folder for a question that does not
    depend on it (`needs_own` false). A question about devices alone (`needs_prices` false) opens no store without any.

    Raises
    ------
    DataError
        The file of own devices breaks its schema.
    """
    asked = store_exists() if needs_prices else store_may_hold("own_devices")
    here = _with_store(load()) if asked else Here(load())
    file = Path(devices_file) if devices_file else default_file()
    if file is None:
        return here
    try:
        return Here(here.database.with_own(_read(file, here.database)), here.warnings, here.store_answers)
    except DataError as error:
        if devices_file is not None:
            raise
        if needs_own:
            remedy = f"Mend it (flopcast hardware --check {file}), move it away, or name another: --devices FILE"
            raise DataError(f"Your own devices: {error}\n{remedy}") from error
        said = f"{file} is left out, it cannot be used. What is wrong: flopcast hardware --check {file}"
        return Here(here.database, (*here.warnings, said), here.store_answers)


def default_file() -> Path | None:
    """Return the file of own devices in the user's configuration folder (`~/.config/flopcast` on Linux), if any."""
    path = default_place()
    return path if path.exists() else None


def default_place() -> Path:
    """Return where that file is looked for."""
    from platformdirs import user_config_path

    return user_config_path("flopcast") / "devices.toml"


def _read(file: Path, database: Database) -> Own:
    """Return what a user's own file defines; the parser is imported only where there is a file."""
    from hardware_db.own import read_own

    return read_own(file, database)


def _with_store(database: Database) -> Here:
    """Lay the store's devices and prices over a database; importing SQLAlchemy takes longer than loading all tables."""
    from hardware_db.store import open_store
    from hardware_db.store_documents import shared_devices

    try:
        store = open_store()
        own, offers = shared_devices(store, database), store.offers()
    except StoreError as error:
        return Here(database, (str(error),), store_answers=False)
    except DataError as error:
        return Here(database, (f"What is shared in the store is left out: {error}",))
    database = database.with_own(own)
    return Here(database.with_offers(offers) if offers else database)
