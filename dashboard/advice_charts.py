"""What changes would do, and what buying costs, as pure functions from tables to Plotly figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.palette import BLUE, GREEN, GREY, GRID, MARGIN, ORANGE, framed
from hardware_db.units import format_duration


def tornado(savings: Sequence[dict[str, Any]]) -> go.Figure:
    """Draw what each change does to the cost [USD], the largest effect on top; left of zero it saves."""
    ordered = sorted(savings, key=lambda each: abs(each["usd"]))
    figure = go.Figure(
        go.Bar(
            x=[each["usd"] for each in ordered],
            y=[each["change"] for each in ordered],
            orientation="h",
            marker={
                "color": [GREEN if each["usd"] < 0 else ORANGE for each in ordered],
                "pattern": {"shape": ["" if each["usd"] < 0 else "/" for each in ordered]},
            },
            customdata=[each["note"] for each in ordered],
            hovertemplate="<b>%{y}</b><br>%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(title="Change of the cost, USD", gridcolor=GRID, zerolinecolor=GREY)
    figure.update_yaxes(tickvals=[each["change"] for each in ordered], ticktext=[_effect(each) for each in ordered])
    figure.update_layout(height=110 + 42 * len(ordered), margin=MARGIN | {"t": 36})
    return figure


def _effect(saving: dict[str, Any]) -> str:
    """Return the words beside a bar: on a phone there is no room at its end."""
    return f"{saving['change']}<br>{_signed(saving['usd'])}, {_longer(saving['seconds'])}"


def _signed(usd: float) -> str:
    return f"{'-' if usd < 0 else '+'}${abs(usd):,.3g}"


def _longer(seconds: float) -> str:
    if abs(seconds) < 1:
        return "same time"
    return f"{format_duration(abs(seconds))} {'less' if seconds < 0 else 'more'}"


def buy_or_rent_curve(costs: pd.DataFrame, meet: float | None) -> go.Figure:
    """Draw what an hour of work costs bought and rented (USD) over the share of hours in which a device works."""
    figure = go.Figure()
    for column, name, colour, dash in (
        ("own_usd_per_hour", "bought", BLUE, "solid"),
        ("rent_usd_per_hour", "rented", ORANGE, "dash"),
    ):
        figure.add_trace(
            go.Scatter(
                x=costs["utilisation"],
                y=costs[column],
                mode="lines",
                name=name,
                line={"color": colour, "width": 2, "dash": dash},
                hovertemplate=f"{name}: $%{{y:,.3~g}} an hour at %{{x:.0%}}<extra></extra>",
            )
        )
    if meet is not None:
        ends = [0.0, float(costs["own_usd_per_hour"].max())]
        line = {"color": GREY, "width": 1.5, "dash": "dot"}
        figure.add_trace(go.Scatter(x=[meet, meet], y=ends, mode="lines", name=f"equal at {meet:.0%}", line=line))
    figure.update_xaxes(title="Share of all hours in which it works", tickformat=".0%", gridcolor=GRID)
    figure.update_yaxes(title="USD per hour of work", tickprefix="$", gridcolor=GRID, rangemode="tozero")
    framed(figure, 380)
    return figure
