"""Charts of options as pure functions from estimates to Plotly figures.

On logarithmic axes only traces are used for lines and labels: Plotly reads an annotation's position on such an axis
as an exponent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import hypot, log10
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import cost_of, cost_range, hardware_of, provider_of, time_of, time_range
from dashboard.limits import Limits
from dashboard.palette import BOUNDS, GREY, GRID, KINDS, VERMILION, WHOLE_FIGURES, KindStyle, framed
from estimator.estimates import Estimates
from estimator.result import Estimate
from hardware_db.units import format_duration, format_usd

SECONDS_PER_HOUR: Final = 3600.0
FADED: Final = 0.3
ROOM: Final = 0.18
"""Share of an axis that a label of one word takes on a phone: labels nearer than this would touch."""
LABEL_ROOM: Final = 0.28
"""Room left of and below the marks for a word on a phone, as a share of the decades shown."""
LEGIBLE: Final = 0.12
"""Smallest share of the bar that holds its label."""
DECADE_TICKS: Final = 2.0
"""From so many decades on an axis shows powers of ten only."""
_HOVER: Final = "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}<extra></extra>"
_UNITS: Final = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"), (1e-3, "milliseconds"))


def cost_time_scatter(found: Estimates, limits: Limits) -> go.Figure:
    """Draw cost (USD) over run time (hours), both logarithmic; one point a row, one trace a kind of device.

    Parameters
    ----------
    found
        rows with a time and a cost
    limits
        budget and deadline; rows over them are faded
    """
    figure = go.Figure()
    for kind, style in KINDS.items():
        part = [row for row in found if row.device.kind == kind]
        if part:
            figure.add_trace(_points(part, style, limits))
    keeping = limits.keeping(found)
    frontier = (keeping if len(keeping) else found).pareto()
    figure.add_trace(_frontier_line(frontier))
    for trace in _rings(frontier):
        figure.add_trace(trace)
    for line in _limit_lines(found, limits):
        figure.add_trace(line)
    _log_axes(figure, found)
    return figure


def _hours(row: Estimate) -> float:
    return (row.run_time_s or 0.0) / SECONDS_PER_HOUR


def _points(part: Sequence[Estimate], style: KindStyle, limits: Limits) -> go.Scatter:
    return go.Scatter(
        x=[_hours(row) for row in part],
        y=[row.cost_usd for row in part],
        mode="markers",
        name=style.label,
        marker={
            "color": style.colour,
            "symbol": style.marker,
            "size": 11,
            "opacity": [1.0 if limits.excess(row) <= 1 else FADED for row in part],
            "line": {"width": 1, "color": "white"},
        },
        customdata=np.array([_hover_lines(row) for row in part], dtype=object),
        hovertemplate=_HOVER,
    )


def _hover_lines(row: Estimate) -> list[str]:
    hourly = format_usd(row.rental.usd_per_hour) if row.rental else "-"
    return [
        hardware_of(row),
        f"{provider_of(row)}, {hourly} per hour",
        f"{time_of(row)}, {time_range(row)}",
        f"{cost_of(row)}, {cost_range(row)}; basis: {row.basis}",
    ]


def _frontier_line(frontier: Estimates) -> go.Scatter:
    return go.Scatter(
        x=[_hours(row) for row in frontier],
        y=[row.cost_usd for row in frontier],
        mode="lines",
        name="Pareto frontier",
        line={"color": GREY, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )


def knee(frontier: Sequence[Estimate]) -> Estimate | None:
    """Return the point of the frontier farthest below the line between its ends, both axes logarithmic.

    There more money buys little time, and more time saves little money (Satopaa et al., "Finding a 'Kneedle' in a
    Haystack", 2011). None where fewer than three points leave no bend.
    """
    if len(frontier) < 3:
        return None
    spots = _spots(frontier)
    inner = {place: 1 - x - y for place, (x, y) in enumerate(spots[1:-1], start=1)}
    place = max(inner, key=lambda each: inner[each])
    return frontier[place] if inner[place] > 0 else None


def _spots(frontier: Sequence[Estimate]) -> list[tuple[float, float]]:
    """Return the points in the square from the fastest (0, 1) to the cheapest (1, 0)."""
    xs = [log10(_hours(row)) for row in frontier]
    ys = [log10(row.cost_usd or 1.0) for row in frontier]
    return [(_within(x, xs), _within(y, ys)) for x, y in zip(xs, ys, strict=True)]


def _within(value: float, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 0.0


def _rings(frontier: Estimates) -> Iterable[go.Scatter]:
    """Ring the cheapest, the fastest and the knee; their word stands to the lower left, where no point can be."""
    named: dict[int, list[str]] = {}
    chosen = {"cheapest": frontier.cheapest(), "fastest": frontier.fastest(), "knee": knee(frontier.rows)}
    for word, row in chosen.items():
        if row is not None:
            named.setdefault(frontier.rows.index(row), []).append(word)
    spots = _spots(frontier.rows)
    shown: list[int] = []
    for place, words in named.items():
        clear = all(hypot(*(a - b for a, b in zip(spots[place], spots[other], strict=True))) > ROOM for other in shown)
        shown.append(place)
        yield _ring(frontier.rows[place], " and ".join(words), word_shown=clear)


def _ring(row: Estimate, words: str, *, word_shown: bool) -> go.Scatter:
    return go.Scatter(
        x=[_hours(row)],
        y=[row.cost_usd],
        mode="markers+text" if word_shown else "markers",
        name=f"{words.capitalize()}: {hardware_of(row)}",
        text=[words],
        textposition="bottom left",
        textfont={"color": GREY, "size": 12},
        marker={"symbol": "circle-open", "size": 19, "color": GREY, "line": {"width": 2}},
        hoverinfo="skip",
    )


def _log_axes(figure: go.Figure, found: Estimates) -> None:
    for update, title, values, prefix in (
        (figure.update_xaxes, "Run time, hours", [_hours(row) for row in found], ""),
        (figure.update_yaxes, "Cost, USD", [row.cost_usd or 1.0 for row in found], "$"),
    ):
        decades = log10(max(values) / min(values)) if values else 0.0
        update(type="log", title=title, gridcolor=GRID, tickprefix=prefix, tickformat=WHOLE_FIGURES)
        update(dtick=1 if decades > DECADE_TICKS else "D2")
        if values:
            pad = max(0.2, decades * LABEL_ROOM)
            update(range=[log10(min(values)) - pad, log10(max(values)) + max(0.1, pad / 4)])
    framed(figure, 560, lines=3, dragmode="zoom", legend_traceorder="normal")


def _limit_lines(found: Estimates, limits: Limits) -> list[go.Scatter]:
    hours = [_hours(row) for row in found]
    costs = [row.cost_usd or 0.0 for row in found]
    lines = []
    if hours and limits.budget_usd:
        budget = limits.budget_usd
        lines.append(_line([min(hours), max(hours)], [budget, budget], f"Budget {format_usd(budget)}"))
    if hours and limits.deadline_s:
        deadline = limits.deadline_s
        reach = [deadline / SECONDS_PER_HOUR] * 2
        lines.append(_line(reach, [min(costs), max(costs)], f"Deadline {format_duration(deadline)}"))
    return lines


def _line(x: list[float], y: list[float], name: str) -> go.Scatter:
    return go.Scatter(x=x, y=y, mode="lines", name=name, line={"color": VERMILION, "width": 1.5}, hoverinfo="name")


def step_parts(seconds_by_bound: Mapping[str, float]) -> go.Figure:
    """Draw where one training step goes: one bar, one part per bound (compute, memory, launch, network)."""
    total = sum(seconds_by_bound.values())
    unit, name = next(((unit, name) for unit, name in _UNITS if total >= 2 * unit), (1e-6, "microseconds"))
    figure = go.Figure()
    for bound, seconds in seconds_by_bound.items():
        if seconds < total * 0.005:
            continue
        share = f"{bound} {seconds / total:.0%}"
        figure.add_trace(
            go.Bar(
                x=[seconds / unit],
                y=[""],
                orientation="h",
                name=share,
                text=[share if seconds / total >= LEGIBLE else ""],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                insidetextfont={"color": "white" if bound == "compute" else "black"},  # 4.5 times apart from the bar
                marker={"color": BOUNDS.get(bound, GREY)},
                hovertemplate=f"{bound}: {format_duration(seconds)}<extra></extra>",
            )
        )
    framed(figure, 190, margin={"l": 10, "t": 36}, barmode="stack", showlegend=True, legend_traceorder="normal")
    figure.update_xaxes(title=f"{name} of one step", gridcolor=GRID, exponentformat="none", separatethousands=True)
    return figure
