"""Charts with their names and pictures, and what a page shows as CSV, JSON and HTML: the same on every page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:.85rem}td,th{padding:.2rem .6rem;border-bottom:1px solid #ccc;"
    "text-align:left}.scroll{overflow-x:auto}pre{white-space:pre-wrap}"
)


@dataclass(frozen=True, slots=True)
class Export:
    """What a page shows.

    name      of the files, without a suffix
    title     the finding, as the page says it
    table     the main table, or what makes it when it is asked for; the CSV file
    figures   charts, in the order of the page
    document  what the JSON file holds; by default the rows of the table
    notes     lines under the table of the HTML file: what was assumed, the command
    """

    name: str
    title: str
    table: pd.DataFrame | Callable[[], pd.DataFrame]
    figures: Sequence[go.Figure] = ()
    document: Callable[[], object] | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    def frame(self) -> pd.DataFrame:
        """Return the main table."""
        return self.table if isinstance(self.table, pd.DataFrame) else self.table()

    def csv(self) -> str:
        """Return the table as CSV."""
        return self.frame().to_csv(index=False)

    def json(self) -> str:
        """Return the document, without figures that are not there."""
        content = self.document() if self.document else json.loads(self.frame().to_json(orient="records"))
        return json.dumps(content, indent=1, default=str)

    def html(self) -> str:
        """Return a page that needs nothing else: charts that can still be moved, the table, the notes."""
        charts = "".join(
            figure.to_html(full_html=False, include_plotlyjs=place == 0) for place, figure in enumerate(self.figures)
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        table = self.frame().to_html(index=False, escape=True, border=0, na_rep="-")
        title = escape(self.title)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f'</head><body><h1>{title}</h1>{charts}<div class="scroll">{table}</div>{notes}</body></html>'
        )


MISSING: Final = "-"
"""What tables show where there is no figure."""


def downloads(shown: Export) -> None:
    """Offer what the page shows as files; each is made when it is asked for."""
    kinds: Mapping[str, tuple[Callable[[], str], str]] = {
        "CSV": (shown.csv, "text/csv"),
        "JSON": (shown.json, "application/json"),
        "HTML": (shown.html, "text/html"),
    }
    with st.container(horizontal=True):
        for label, (make, mime) in kinds.items():
            st.download_button(
                label,
                make,
                f"{shown.name}.{label.lower()}",
                mime,
                on_click="ignore",
                key=f"{shown.name}-{label}",
                help=f"{shown.title} as {label}",
            )
    if shown.figures:
        st.caption("A chart as PNG: the camera above it.")


def command_block(command: str, without: str = "") -> None:
    """Show the command that answers the same, to be copied; `without` says what it leaves out."""
    st.caption(f"The same question on the command line{', ' + without if without else ''}:")
    st.code(command, language="bash", wrap_lines=True)


def grid(table: pd.DataFrame, columns: Mapping[str, Any], alt: str) -> None:
    """Draw a table under an accessible name; a figure that is not there is a dash."""
    st.dataframe(table, hide_index=True, column_config=dict(columns), placeholder=MISSING, alt=alt)


def chart(figure: go.Figure, alt: str, name: str, key: str | None = None) -> None:
    """Draw a chart under an accessible name; its camera saves `name`.png in twice the resolution of the screen."""
    picture = {"format": "png", "filename": name, "scale": 2}
    config: dict[str, Any] = {"displaylogo": False, "displayModeBar": True, "toImageButtonOptions": picture}
    st.plotly_chart(figure, config=config, alt=alt, key=key)
