"""Charts of devices as pure functions from tables to Plotly figures."""

from __future__ import annotations

from typing import Final

import pandas as pd
import plotly.graph_objects as go

from dashboard.against import Against
from dashboard.palette import BLUE, GREEN, GREY, GRID, KINDS, ORANGE, PURPLE, SKY, WHOLE_FIGURES, framed

PRICINGS: Final = {
    "on_demand": (BLUE, "circle"),
    "spot": (ORANGE, "diamond"),
    "reserved_1y": (GREEN, "square"),
    "reserved_3y": (PURPLE, "triangle-up"),
    "free": (SKY, "star"),
}
"""Colour and mark of each way to pay."""


def price_against(table: pd.DataFrame, against: Against) -> go.Figure:
    """Draw the hourly price (USD) over a figure of the devices, both logarithmic; lower right is better."""
    figure = go.Figure()
    for kind, style in KINDS.items():
        part = table[table["kind"] == kind]
        if part.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=part[against.column],
                y=part["usd_per_hour"],
                mode="markers",
                name=style.label,
                marker={
                    "color": style.colour,
                    "symbol": style.marker,
                    "size": 11,
                    "line": {"width": 1, "color": "white"},
                },
                customdata=part[["device", against.unit_price]].to_numpy(),
                hovertemplate=f"<b>%{{customdata[0]}}</b><br>{against.label}: %{{x:,.3~g}}<br>$%{{y:,.3~g}} per hour"
                f"<br>$%{{customdata[1]:,.3~g}} an hour per {against.per}<extra></extra>",
            )
        )
    figure.update_xaxes(type="log", title=against.label, gridcolor=GRID, dtick=1, tickformat=WHOLE_FIGURES)
    figure.update_yaxes(
        type="log",
        title="Cheapest price, USD per hour",
        gridcolor=GRID,
        dtick=1,
        tickprefix="$",
        tickformat=WHOLE_FIGURES,
    )
    framed(figure, 460, dragmode="zoom")
    return figure


def price_over_time(history: pd.DataFrame) -> go.Figure:
    """Draw the lowest hourly price (USD per device) of each provider over the days, one mark a way to pay.

    Parameters
    ----------
    history
        as `hardware_db.price_history` returns it
    """
    figure = go.Figure()
    for keys, part in history.groupby("pricing"):
        pricing = str(keys)
        colour, mark = PRICINGS.get(pricing, (GREY, "x"))
        shown = _gapped(part)
        figure.add_trace(
            go.Scatter(
                x=shown["as_of"],
                y=shown["lowest_usd"],
                mode="lines+markers",
                name=pricing.replace("_", " "),
                line={"color": colour, "width": 1},
                marker={"color": colour, "symbol": mark, "size": 9, "line": {"width": 1, "color": "white"}},
                customdata=shown[["offers", "median_usd", "highest_usd", "provider"]].to_numpy(),
                hovertemplate=f"<b>%{{customdata[3]}}</b>, {pricing.replace('_', ' ')}, %{{x|%Y-%m-%d}}<br>"
                "from $%{y:,.3~g}, median $%{customdata[1]:,.3~g}, to $%{customdata[2]:,.3~g}"
                "<br>%{customdata[0]} offers<extra></extra>",
            )
        )
    figure.update_xaxes(title="Price of", gridcolor=GRID)
    figure.update_yaxes(title="USD per device and hour", gridcolor=GRID, tickprefix="$", rangemode="tozero")
    framed(figure, 380)
    return figure


def _gapped(history: pd.DataFrame) -> pd.DataFrame:
    """Return the days of one provider after the other with an empty row between, where the line is not drawn on."""
    parts = [part for _, part in history.groupby("provider")]
    gap = pd.DataFrame([dict.fromkeys(history.columns)])
    return pd.concat([each for part in parts for each in (part, gap)][:-1], ignore_index=True)
