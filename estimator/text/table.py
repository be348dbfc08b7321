"""Tables as columns of text: header once with units, figures to the right, never a wrapped row.

Rows may end in a note that runs over the remaining columns ("no bfloat16: ..."), which rich's own Table cannot lay
out; so the columns are placed here and rich only styles, measures and cuts the lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.text import Text

GAP = 2
MISSING = "-"
"""Shown where there is no figure; never 0."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `drop` is its turn to go when the page is narrow: 1 goes first, 0 never goes."""

    header: str
    unit: str = ""
    align: Literal["left", "right"] = "right"
    drop: int = 0
    style: str = ""
    gap: int = GAP


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row, in the order of the columns; a note takes the place of the cells that are left out."""

    cells: Sequence[str]
    note: str = ""
    style: str = ""


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[Text]:
    """Return the lines of a table: headers, units where there are any, then one line a row.

    Parameters
    ----------
    columns
        From left to right; on a page narrower than the table they are left out in the order of `drop`.
    rows
        The cells as text.
    width
        Columns of the page.
    """
    kept = _fitting(columns, rows, width)
    heads = [Row([column.header for column in columns], style="bold")]
    if any(column.unit for column in columns):
        heads.append(Row([column.unit for column in columns], style="dim"))
    widths = {index: _column_width(index, columns, rows) for index in kept}
    return [_line(row, columns, widths, width) for row in (*heads, *rows)]


def table_width(columns: Sequence[Column], rows: Sequence[Row]) -> int:
    """Return how wide a table is with all its columns."""
    gaps = sum(column.gap for column in columns[:-1])
    return gaps + sum(_column_width(index, columns, rows) for index in range(len(columns)))


def _fitting(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    kept = list(range(len(columns)))
    turns = sorted((index for index in kept if columns[index].drop), key=lambda index: columns[index].drop)
    while turns and sum(_column_width(i, columns, rows) + columns[i].gap for i in kept) - columns[kept[-1]].gap > width:
        kept.remove(turns.pop(0))
    return kept


def _column_width(index: int, columns: Sequence[Column], rows: Sequence[Row]) -> int:
    from rich.cells import cell_len

    cells = [row.cells[index] for row in rows if index < len(row.cells)]
    return max(cell_len(text) for text in (columns[index].header, columns[index].unit, *cells))


def _line(row: Row, columns: Sequence[Column], widths: dict[int, int], width: int) -> Text:
    from rich.text import Text

    line = Text(style=row.style, no_wrap=True, overflow="ellipsis")
    for index, size in widths.items():
        if index >= len(row.cells):
            break
        cell = Text(row.cells[index], style=columns[index].style if not row.style else "")
        cell.align(columns[index].align, size)
        line.append_text(cell).append(" " * columns[index].gap)
    line.append(row.note, style="dim")
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    return line
