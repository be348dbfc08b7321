"""The page that text is laid out for: how wide, and whether it may be styled."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

FULL_WIDTH = 120
"""Columns that tables are made for; also the width where nobody looks (files, pipes)."""
LEAST_WIDTH = 20
"""Columns below which words would be cut: the terminal breaks the lines of such a page, and no figure is lost."""


@dataclass(frozen=True, slots=True)
class Page:
    """Width in columns, and whether colour and bold may be used."""

    width: int = FULL_WIDTH
    styled: bool = False

    @classmethod
    def of_terminal(cls, color: bool | None = None) -> Page:
        """Return the page of stdout: its width, styled only on a terminal and never against `NO_COLOR`."""
        watched = sys.stdout.isatty()
        width = shutil.get_terminal_size((FULL_WIDTH, 24)).columns if watched or "COLUMNS" in os.environ else FULL_WIDTH
        plain = color is False or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(max(width, LEAST_WIDTH), watched and not plain)

    def render(self, *parts: RenderableType) -> str:
        """Lay out texts and tables below each other; lines end without spaces."""
        from rich.console import Console

        console = Console(
            file=StringIO(),
            width=self.width,
            force_terminal=self.styled,
            color_system="standard" if self.styled else None,
            no_color=not self.styled,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        with console.capture() as capture:
            for part in parts:
                console.print(part, soft_wrap=False)
        return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"
