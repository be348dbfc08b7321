"""Charts as pure functions from tables to Plotly figures.

On logarithmic axes only traces are used for lines and labels: Plotly reads an annotation's position on such an axis
as an exponent.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.palette import BOUNDS, GREY, KINDS
from hardware_db.units import format_duration, format_usd

SECONDS_PER_HOUR: Final = 3600.0
FADED: Final = 0.3
LABEL_WIDTH, LABEL_HEIGHT = 0.6, 0.12
"""Room that a label takes on the logarithmic axes, in decades."""
Limits = tuple[float | None, float | None]
"""Budget in USD and deadline in seconds; None where there is none."""
_HOVER: Final = "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}<extra></extra>"


def cost_time_scatter(rows: pd.DataFrame, frontier: pd.DataFrame, limits: Limits) -> go.Figure:
    """Draw cost (USD) over run time (hours), both logarithmic; one point a row, one trace a kind of device.

    Parameters
    ----------
    rows
        answered rows of `Estimates.to_frame()`; `device`, `kind`, `count`, `run_time_s`, `cost_usd` and their ranges
    frontier
        the rows that no other row beats in both cost and time
    limits
        budget in USD and deadline in seconds; rows outside are faded
    """
    figure = go.Figure()
    for kind, style in KINDS.items():
        part = rows[rows["kind"] == kind]
        if not part.empty:
            figure.add_trace(_points(part, style.label, style.colour, style.marker, limits))
    figure.add_trace(_frontier_line(frontier))
    figure.add_trace(_frontier_labels(frontier))
    _log_axes(figure)
    if not rows.empty:
        hours = np.log10(rows["run_time_s"] / SECONDS_PER_HOUR)
        figure.update_xaxes(range=[hours.min() - LABEL_WIDTH, hours.max() + 0.2])
    for line in _limit_lines(rows, limits):
        figure.add_trace(line)
    return figure


def _points(part: pd.DataFrame, label: str, colour: str, marker: str, limits: Limits) -> go.Scatter:
    within = _within(part, limits)
    return go.Scatter(
        x=part["run_time_s"] / SECONDS_PER_HOUR,
        y=part["cost_usd"],
        mode="markers",
        name=label,
        marker={
            "color": colour,
            "symbol": marker,
            "size": 11,
            "opacity": [1.0 if ok else FADED for ok in within],
            "line": {"width": 1, "color": "white"},
        },
        customdata=[_hover_lines(row) for row in part.to_dict("records")],
        hovertemplate=_HOVER,
    )


def _within(part: pd.DataFrame, limits: Limits) -> pd.Series[bool]:
    budget, deadline = limits
    return (part["cost_usd"] <= (budget or float("inf"))) & (part["run_time_s"] <= (deadline or float("inf")))


def _hover_lines(row: dict[object, object]) -> list[str]:
    def money(name: str) -> str:
        return format_usd(float(str(row[name])))

    def duration(name: str) -> str:
        return format_duration(float(str(row[name])))

    return [
        f"{row['count']}× {row['device']}",
        f"{row['provider']} {row['region']}, {row['pricing']}, {money('usd_per_hour')} per hour",
        f"{duration('run_time_s')} ({duration('run_time_s_low')} to {duration('run_time_s_high')})",
        f"{money('cost_usd')} ({money('cost_usd_low')} to {money('cost_usd_high')}), basis: {row['basis']}",
    ]


def _frontier_line(frontier: pd.DataFrame) -> go.Scatter:
    ordered = frontier.sort_values("run_time_s")
    return go.Scatter(
        x=ordered["run_time_s"] / SECONDS_PER_HOUR,
        y=ordered["cost_usd"],
        mode="lines",
        name="Pareto frontier",
        line={"color": GREY, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )


def _frontier_labels(frontier: pd.DataFrame) -> go.Scatter:
    """Name the frontier's points to their lower left, where no other point can be."""
    named = _apart(frontier.sort_values("run_time_s"))
    return go.Scatter(
        x=named["run_time_s"] / SECONDS_PER_HOUR,
        y=named["cost_usd"],
        mode="text",
        text=[f"{count}× {device} " for count, device in zip(named["count"], named["device"], strict=True)],
        textposition="bottom left",
        textfont={"color": GREY, "size": 12},
        showlegend=False,
        hoverinfo="skip",
    )


def _apart(ordered: pd.DataFrame) -> pd.DataFrame:
    """Keep the points whose labels do not run into the one before; the cheapest, the last, always stays."""
    kept: list[int] = []
    places = list(zip(np.log10(ordered["run_time_s"]), np.log10(ordered["cost_usd"]), strict=True))
    for index in reversed(range(len(places))):
        if all(_clear(places[index], places[other]) for other in kept):
            kept.append(index)
    return ordered.iloc[sorted(kept)]


def _clear(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) > LABEL_WIDTH or abs(one[1] - other[1]) > LABEL_HEIGHT


def _log_axes(figure: go.Figure) -> None:
    figure.update_xaxes(type="log", title="Run time, hours", gridcolor="rgba(138,138,138,0.25)", dtick=1)
    figure.update_yaxes(type="log", title="Cost, USD", gridcolor="rgba(138,138,138,0.25)", dtick=1, tickprefix="$")
    figure.update_layout(
        height=520, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={"orientation": "h", "y": 1.08}, dragmode="zoom"
    )


def _limit_lines(rows: pd.DataFrame, limits: Limits) -> list[go.Scatter]:
    if rows.empty:
        return []
    budget, deadline = limits
    hours = rows["run_time_s"] / SECONDS_PER_HOUR
    lines = []
    if budget:
        lines.append(_limit_line([hours.min(), hours.max()], [budget, budget], f"Budget {format_usd(budget)}"))
    if deadline:
        reach = [rows["cost_usd"].min(), rows["cost_usd"].max()]
        lines.append(_limit_line([deadline / SECONDS_PER_HOUR] * 2, reach, f"Deadline {format_duration(deadline)}"))
    return lines


def _limit_line(x: list[float], y: list[float], name: str) -> go.Scatter:
    return go.Scatter(x=x, y=y, mode="lines", name=name, line={"color": "#D55E00", "width": 1.5}, hoverinfo="name")


def step_parts(seconds_by_bound: dict[str, float]) -> go.Figure:
    """Draw where one training step goes: one bar, one part per bound (compute, memory, launch, network), in ms."""
    figure = go.Figure()
    total = sum(seconds_by_bound.values())
    for bound, seconds in seconds_by_bound.items():
        if seconds <= 0:
            continue
        share = f"{bound} {seconds / total:.0%}"
        figure.add_trace(
            go.Bar(
                x=[seconds * 1e3],
                y=[""],
                orientation="h",
                name=share,
                text=[share],
                textposition="inside",
                marker={"color": BOUNDS.get(bound, GREY)},
                hovertemplate=f"{bound}: {format_duration(seconds)}<extra></extra>",
            )
        )
    figure.update_layout(
        barmode="stack", height=150, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={"orientation": "h", "y": -0.6}
    )
    figure.update_xaxes(title="milliseconds of one step", gridcolor="rgba(138,138,138,0.25)")
    return figure
