"""Take a whole store out into one JSON file and put such a file into another store: a backup, or a move to a team's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hardware_db.errors import DataError
from hardware_db.store import TABLES, Store
from hardware_db.store_schema import prices, snapshots

FORMAT = 1
#: Tables whose rows have names: an imported row takes the place of the one with its name.
_NAMED = ("machine_profiles", "own_devices")

Rows = Sequence[Mapping[str, Any]]


def export_store(store: Store, path: Path) -> Mapping[str, int]:
    """Write all tables to a JSON file, whole or not at all; return the number of rows by table."""
    with store.transaction(writes=False) as connection:
        tables = {
            table.name: [dict(row) for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings()]
            for table in TABLES
        }
    document = {"format": FORMAT, "tables": tables}
    write_whole(path, json.dumps(document, default=_as_text, indent=1).encode())
    return {name: len(rows) for name, rows in tables.items()}


def import_store(store: Store, path: Path) -> Mapping[str, int]:
    """Add the rows of an exported file in one transaction; return their number by table.

    Raises
    ------
    DataError
        The file is no export, or from a newer flopcast; nothing was added.
    """
    tables = _read(path)
    with store.transaction() as connection:
        try:
            keys = _add_snapshots(connection, tables.get(snapshots.name, ()))
            added = {snapshots.name: len(keys), prices.name: _add_prices(connection, tables.get(prices.name, ()), keys)}
            rest = [table for table in TABLES if table.name not in added]
            return added | {table.name: _add_rows(connection, table, tables.get(table.name, ())) for table in rest}
        except sa.exc.OperationalError:
            raise
        except (KeyError, TypeError, ValueError, sa.exc.StatementError) as error:
            raise DataError(f"{path} does not fit the tables: {error}".splitlines()[0]) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody ever sees half of it.

    Raises
    ------
    DataError
        The disk is full or the folder cannot be written to; what was there stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> Mapping[str, Rows]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or "tables" not in document:
        raise DataError(f"{path} is no export of a flopcast database")
    if document.get("format") != FORMAT:
        raise DataError(f"{path} has format {document.get('format')}, this flopcast reads {FORMAT}. Update flopcast")
    tables: Mapping[str, Rows] = document["tables"]
    return tables


def _add_snapshots(connection: Connection, rows: Rows) -> dict[int, int]:
    """Add snapshots under new keys; return the old key to the new one."""
    keys = {}
    for row in rows:
        added = connection.execute(snapshots.insert().values(_typed(snapshots, row)))
        new = added.inserted_primary_key
        keys[int(row["id"])] = int(new[0]) if new else 0
    return keys


def _add_prices(connection: Connection, rows: Rows, keys: Mapping[int, int]) -> int:
    if rows:
        connection.execute(
            prices.insert(), [_typed(prices, {**row, "snapshot_id": keys[row["snapshot_id"]]}) for row in rows]
        )
    return len(rows)


def _add_rows(connection: Connection, table: sa.Table, rows: Rows) -> int:
    if table.name in _NAMED:
        names = [row["name"] for row in rows]
        connection.execute(table.delete().where(table.c.name.in_(names)))
    if rows:
        connection.execute(table.insert(), [_typed(table, row) for row in rows])
    return len(rows)


def _typed(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without its key, with dates and times read from their text."""
    return {name: _from_text(table.c[name], value) for name, value in row.items() if name != "id"}


def _from_text(column: sa.Column[Any], value: Any) -> Any:
    if isinstance(column.type, sa.DateTime):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if isinstance(column.type, sa.Date) else value


def _as_text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in an export")
