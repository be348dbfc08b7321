"""Charts with their names and pictures, and what a page shows as CSV, JSON and HTML: the same on every page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import isnan
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
    read      the table of the HTML file, or what makes it; by default the main one
    notes     lines under the table of the HTML file: what was assumed, the command
    """

    name: str
    title: str
    table: pd.DataFrame | Callable[[], pd.DataFrame]
    figures: Sequence[go.Figure] = ()
    document: Callable[[], object] | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    read: Callable[[], pd.DataFrame] | None = None

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
        table = legible(self.read() if self.read else self.frame()).to_html(index=False, escape=True, border=0)
        title = escape(self.title)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f'</head><body><h1>{title}</h1>{charts}<div class="scroll">{table}</div>{notes}</body></html>'
        )


def legible(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as people read it: words as headings, three significant digits, nothing in columns without a word.

    Whole numbers stay as they are.

    Examples
    --------
    >>> legible(pd.DataFrame({"run_time_s": [1234.56, None], "usd_per_gib": [0.00012345, 7.0], "none": [None, None]}))
      Run time, s USD per GiB
    0       1,230    0.000123
    1           -           7
    >>> legible(pd.DataFrame({"year": [2017, None]})).iloc[0, 0]
    '2017'
    """
    kept = table.dropna(axis="columns", how="all") if len(table) else table
    shown = pd.DataFrame({name: [_said(value) for value in kept[name]] for name in kept.columns}, dtype=object)
    return shown.rename(columns={name: heading(str(name)) for name in kept.columns})


def labelled(table: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table under the headings that the page draws above its columns."""
    given = {name: column["label"] if isinstance(column, dict) else column for name, column in columns.items()}
    return table.rename(columns={name: label for name, label in given.items() if label})


def heading(name: str) -> str:
    """Return a column's name in words.

    Examples
    --------
    >>> heading("cost_usd_low"), heading("mfu"), heading("run_time_h"), heading("option")
    ('Cost USD low', 'MFU', 'Run time, h', 'Option')
    """
    *first, last = [WORDS.get(word, word) for word in name.split("_")]
    unit = last in UNITS and bool(first) and first[-1] != "per"
    said = " ".join([*first[:-1], f"{first[-1]}," if unit else first[-1], last] if first else [last])
    return said[:1].upper() + said[1:]


def _said(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < MOST_WRITTEN_OUT):
        return f"{value:,.0f}" if abs(value) >= FEWEST_PARTED else f"{value:.0f}"
    if isinstance(value, float):
        return f"{float(f'{value:.3g}'):,.12g}" if abs(value) < MOST_WRITTEN_OUT else f"{value:.3g}"
    return ", ".join(map(_said, value)) if isinstance(value, (list, tuple)) else str(value)


WORDS: Final = {"usd": "USD", "mfu": "MFU", "hfu": "HFU", "gib": "GiB", "tb": "TB", "co2": "CO2", "tdp": "TDP"} | {
    "tflop": "TFLOP",
    "pflop": "PFLOP",
    "w": "W",
    "kwh": "kWh",
    "id": "ID",
}
UNITS: Final = frozenset({"s", "h", "W", "GiB", "kWh", "bytes", "USD", "kg"})
MOST_WRITTEN_OUT: Final = 1e12
FEWEST_PARTED: Final = 10_000
"""Whole numbers from here on have their thousands parted: years have not."""
APART: Final = "The run in the sidebar changes nothing here."
"""What pages say that do not depend on it."""
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
    st.code(command, language=None, wrap_lines=True)


def grid(table: pd.DataFrame, columns: Mapping[str, Any], alt: str, **rest: Any) -> None:
    """Draw a table under an accessible name; a figure that is not there is a dash, and a small one is not zero."""
    shown = {name: _precise(column, table.get(name)) for name, column in columns.items()}
    st.dataframe(table, hide_index=True, column_config=shown, placeholder=MISSING, alt=alt, **rest)


def _precise(column: Any, values: pd.Series[Any] | None) -> Any:
    """Return the column as it is, or with significant digits where its three decimals would lose some."""
    kind = column.get("type_config") if isinstance(column, dict) else None
    if values is None or kind is None or kind.get("format") != "localized":
        return column
    numbers = pd.to_numeric(values, errors="coerce").dropna()
    small = numbers[numbers.abs() < 1]
    return column if (small.round(3) == small).all() else {**column, "type_config": {**kind, "format": "%.6g"}}


def chart(figure: go.Figure, alt: str, name: str, key: str | None = None) -> None:
    """Draw a chart under an accessible name; its camera saves `name`.png in twice the resolution of the screen."""
    picture = {"format": "png", "filename": name, "scale": 2}
    config: dict[str, Any] = {"displaylogo": False, "displayModeBar": True, "toImageButtonOptions": picture}
    st.plotly_chart(figure, config=config, alt=alt, key=key)
