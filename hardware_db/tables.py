"""Read the published tables: CSV files whose columns, types and units `data/columns.csv` describes.

Only the shape of a file is checked here (its header and each cell's type), so that loading is fast; what the figures
must satisfy is checked by `hardware_db.checks`, in the tests and for a user's own files.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import TypeVar

from hardware_db.errors import DataError

DATA = Path(__file__).parent / "data"

Row = dict[str, str]
Record = TypeVar("Record")


@cache
def day(text: str) -> date:
    """Read an ISO date; the same text is parsed once."""
    return date.fromisoformat(text)


def optional_day(text: str) -> date | None:
    """Read an ISO date or nothing."""
    return day(text) if text else None


def number(text: str) -> float | None:
    """Read a number or nothing."""
    return float(text) if text else None


def words(text: str) -> tuple[str, ...]:
    """Read a list separated by semicolons."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


@cache
def columns() -> Mapping[str, tuple[Row, ...]]:
    """Return the schema: the rows of `columns.csv` by file."""
    schema: dict[str, list[Row]] = {}
    with (DATA / "columns.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            schema.setdefault(row["file"], []).append(row)
    return {name: tuple(rows) for name, rows in schema.items()}


def rows(name: str) -> Iterator[Row]:
    """Yield the rows of a published table.

    Raises
    ------
    DataError
        The header is not what `columns.csv` says, or a row has another number of cells.
    """
    wanted = [column["column"] for column in columns()[name]]
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if header != wanted:
            raise DataError(f"{name}: the columns are {', '.join(header)}; columns.csv says {', '.join(wanted)}")
        for cells in reader:
            if len(cells) != len(wanted):
                raise DataError(f"{name}:{reader.line_num}: {len(cells)} cells, the header has {len(wanted)}")
            yield dict(zip(wanted, cells, strict=True))


def records(name: str, build: Callable[[Row], Record]) -> tuple[Record, ...]:
    """Build one record per row of a table; a cell that does not fit its type is named with file and line.

    Raises
    ------
    DataError
        A cell is not of its column's type.
    """
    built: list[Record] = []
    for line, row in enumerate(rows(name), start=2):
        try:
            built.append(build(row))
        except (ValueError, KeyError) as error:
            raise DataError(f"{name}:{line}: {error}") from error
    return tuple(built)
