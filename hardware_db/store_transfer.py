"""Take a whole store out into one JSON file and put such a file into another store: a backup, or a move to a team's."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
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
    """Add the rows of an exported file in one transaction, those that are not there yet; return how many by table.

    Raises
    ------
    DataError
        The file is no export, or from a newer flopcast; nothing was added.
    """
    tables = _read(path)
    with store.transaction() as connection:
        try:
            added = _add_snapshots(connection, tables)
            rest = [table for table in TABLES if table.name not in added]
            return {**added, **{table.name: _add_rows(connection, table, tables.get(table.name, ())) for table in rest}}
        except sa.exc.OperationalError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, sa.exc.SQLAlchemyError) as error:
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
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: it is no export of flopcast db export ({error})") from error
    if not isinstance(document, dict) or "tables" not in document:
        raise DataError(f"{path} is no export of a flopcast database")
    if document.get("format") != FORMAT:
        raise DataError(f"{path} has format {document.get('format')}, this flopcast reads {FORMAT}. Update flopcast")
    tables: Mapping[str, Rows] = document["tables"]
    return tables


def _add_snapshots(connection: Connection, tables: Mapping[str, Rows]) -> Mapping[str, int]:
    """Add the snapshots that are not there with these very prices, under new keys; return how many rows."""
    priced: dict[int, list[dict[str, Any]]] = {int(row["id"]): [] for row in tables.get(snapshots.name, ())}
    for row in tables.get(prices.name, ()):
        values = _typed(prices, row)
        priced[int(values.pop("snapshot_id"))].append(values)
    added = {snapshots.name: 0, prices.name: 0}
    for row in tables.get(snapshots.name, ()):
        values, rows = _typed(snapshots, row), priced[int(row["id"])]
        if _has_snapshot(connection, values, rows):
            continue
        key = connection.execute(snapshots.insert().values(values)).inserted_primary_key
        if rows and key is not None:
            connection.execute(prices.insert(), [{**each, "snapshot_id": int(key[0])} for each in rows])
        added[snapshots.name] += 1
        added[prices.name] += len(rows)
    return added


def _has_snapshot(connection: Connection, values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    same = [snapshots.c[name] == value for name, value in values.items()]
    for key in connection.execute(sa.select(snapshots.c.id).where(*same)).scalars().all():
        known = _known(connection, prices, "id", "snapshot_id", where=[prices.c.snapshot_id == key])
        if known == Counter(_as_key(prices, row, "id", "snapshot_id") for row in rows):
            return True
    return False


def _add_rows(connection: Connection, table: sa.Table, rows: Rows) -> int:
    """Add the rows that are not there; return how many. A named one takes the place of the one with its name."""
    known = _known(connection, table, "id")
    new = []
    for row in (_typed(table, row) for row in rows):
        key = _as_key(table, row, "id")
        if known[key] > 0:
            known[key] -= 1
        else:
            new.append(row)
    if new and table.name in _NAMED:
        connection.execute(table.delete().where(table.c.name.in_([row["name"] for row in new])))
    if new:
        connection.execute(table.insert(), new)
    return len(new)


def _known(
    connection: Connection, table: sa.Table, *without: str, where: Sequence[sa.ColumnElement[bool]] = ()
) -> Counter[tuple[str, ...]]:
    rows = connection.execute(sa.select(table).where(*where)).mappings()
    return Counter(_as_key(table, dict(row), *without) for row in rows)


def _as_key(table: sa.Table, row: Mapping[str, Any], *without: str) -> tuple[str, ...]:
    """Return a row as something that can be counted; documents (JSON) by their text."""
    names = (column.name for column in table.columns if column.name not in without)
    return tuple(json.dumps(row.get(name), sort_keys=True, default=_as_text) for name in names)


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
