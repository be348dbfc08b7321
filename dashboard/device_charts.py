"""Charts of devices as pure functions from tables to Plotly figures."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.palette import GRID, KINDS


def price_of_arithmetic(table: pd.DataFrame) -> go.Figure:
    """Draw the hourly price (USD) over the dense 16-bit peak (TFLOP/s), both logarithmic; lower right is better."""
    figure = go.Figure()
    for kind, style in KINDS.items():
        part = table[table["kind"] == kind]
        if part.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=part["peak_tflop_per_s"],
                y=part["usd_per_hour"],
                mode="markers",
                name=style.label,
                marker={
                    "color": style.colour,
                    "symbol": style.marker,
                    "size": 11,
                    "line": {"width": 1, "color": "white"},
                },
                customdata=part[["device", "usd_per_pflop_s_hour", "memory_gib"]].to_numpy(),
                hovertemplate="<b>%{customdata[0]}</b><br>%{x:,.3~g} TFLOP/s, $%{y:,.3~g} per hour"
                "<br>$%{customdata[1]:,.3~g} per PFLOP/s and hour<br>%{customdata[2]:,.3~g} GiB<extra></extra>",
            )
        )
    figure.update_xaxes(type="log", title="Dense peak for training, TFLOP/s", gridcolor=GRID, dtick=1)
    figure.update_yaxes(type="log", title="Cheapest price, USD per hour", gridcolor=GRID, dtick=1, tickprefix="$")
    figure.update_layout(
        height=460,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "yanchor": "top", "y": -0.18},
        dragmode="zoom",
    )
    return figure
