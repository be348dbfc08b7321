"""Labelled lines under a table; long ones go on below their own text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

SEPARATOR = " · "


def flow(parts: Iterable[str], width: int, separator: str = SEPARATOR) -> str:
    r"""Join short texts; where the line is full the next text begins a new one, none is broken.

    >>> flow(["gpt2", "124 M parameters", "10.0 B tokens"], 24)
    'gpt2 · 124 M parameters\n10.0 B tokens'
    """
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(separator) + len(part) <= width:
            lines[-1] += separator + part
        else:
            lines.append(part)
    return "\n".join(lines)


def notes(lines: Iterable[tuple[str, str]]) -> Table:
    """Return (label, text) pairs as two columns, the text wrapped at words."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(Text(label, style="bold"), Text(text))
    return grid
