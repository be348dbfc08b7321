"""Operations under the roofs of a device, as a pure function from the estimator's roofline to a Plotly figure.

Roofs are traces, not shapes: Plotly reads positions on logarithmic axes as exponents there.
"""

from __future__ import annotations

from math import log10
from typing import Final

import plotly.graph_objects as go

from dashboard.palette import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WHOLE_FIGURES,
    framed,
)
from estimator.roofline import Bubble, Roof, Roofline
from hardware_db.units import format_duration, format_rate

COLOURS: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)
MARKS: Final = ("circle", "diamond", "square", "triangle-up", "cross", "star")
OTHERS: Final = "other families"
PREFIXED: Final = "~s"
"""Labels of an axis as people say them: 100G, 1T, 100T, 1P."""
SMALLEST, LARGEST = 6.0, 46.0
"""Diameters [pixels] of an operation without time and of the longest one."""
ROOM: Final = 3.0
"""Factor by which the chart reaches beyond the operations."""
FAR: Final = 1e6
"""Factor by which the roofs go on beyond it, for whoever zooms out."""
TINY: Final = 0.0005
"""Share of the time below which an operation does not widen the chart; zooming out shows it."""
NEXT_TO_NONE: Final = 0.01
"""FLOPs per byte below which an operation does not widen it either: copies that add up a few numbers."""


def roofline_chart(found: Roofline) -> go.Figure:
    """Draw FLOP/s over FLOPs per byte, both logarithmic; the area of a bubble is its share of the device's time."""
    figure = go.Figure()
    ends, heights = _window(found)
    longest = max((bubble.share for bubble in found.bubbles), default=1.0)
    figure.add_trace(_roof(found.datasheet, ends, "datasheet", "solid"))
    figure.add_trace(_roof(found.sustained, ends, f"sustained ({found.sustained.basis})", "dash"))
    for place, (family, bubbles) in enumerate(_families(found.bubbles).items()):
        figure.add_trace(_bubbles(family, bubbles, longest, (COLOURS[place], MARKS[place])))
    for update, title, form, (low, high) in (
        (figure.update_xaxes, "FLOPs per byte", WHOLE_FIGURES, ends),
        (figure.update_yaxes, "FLOP/s", PREFIXED, heights),
    ):
        shown = [log10(low), log10(high)]
        update(type="log", title=title, gridcolor=GRID, dtick=1, tickformat=form, range=shown)
    framed(figure, 560, lines=3)
    return figure


def _window(found: Roofline) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of both axes: ridges, and the operations that take time."""
    shown = [bubble for bubble in found.bubbles if bubble.share >= TINY and bubble.flops_per_byte >= NEXT_TO_NONE]
    xs = [bubble.flops_per_byte for bubble in shown] + [found.datasheet.ridge, found.sustained.ridge]
    ys = [bubble.flops_per_s for bubble in shown] + [found.datasheet.flops_per_s]
    return (min(xs) / ROOM, max(xs) * ROOM), (min(ys) / ROOM, max(ys) * ROOM)


def _families(bubbles: tuple[Bubble, ...]) -> dict[str, list[Bubble]]:
    """Return the families that take most time; the rest go together, so that every colour has a name."""
    shares: dict[str, float] = {}
    for bubble in bubbles:
        shares[bubble.family] = shares.get(bubble.family, 0.0) + bubble.share
    named = sorted(shares, key=lambda name: -shares[name])
    own = named if len(named) <= len(COLOURS) else named[: len(COLOURS) - 1]
    found: dict[str, list[Bubble]] = {name: [] for name in own}
    for bubble in bubbles:
        found.setdefault(bubble.family if bubble.family in own else OTHERS, []).append(bubble)
    return found


def _roof(roof: Roof, ends: tuple[float, float], name: str, dash: str) -> go.Scatter:
    x = [ends[0] / FAR, roof.ridge, ends[1] * FAR]
    label = f"{name}: {format_rate(roof.flops_per_s)}, {format_rate(roof.bytes_per_s, 'B/s')}"
    line = {"color": GREY, "width": 2, "dash": dash}
    return go.Scatter(x=x, y=[roof.at(each) for each in x], mode="lines", name=label, line=line, hoverinfo="name")


def _bubbles(family: str, bubbles: list[Bubble], longest: float, style: tuple[str, str]) -> go.Scatter:
    colour, mark = style
    return go.Scatter(
        x=[bubble.flops_per_byte for bubble in bubbles],
        y=[bubble.flops_per_s for bubble in bubbles],
        mode="markers",
        name=family,
        marker={
            "color": colour,
            "symbol": mark,
            "opacity": 0.75,
            "size": [SMALLEST + (LARGEST - SMALLEST) * (bubble.share / longest) ** 0.5 for bubble in bubbles],
            "line": {"width": 1, "color": "white"},
        },
        customdata=[_said(bubble) for bubble in bubbles],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
    )


def _said(bubble: Bubble) -> list[str]:
    return [
        f"{bubble.operator}, {bubble.phase}, {bubble.precision}",
        f"{bubble.calls:,.0f} calls, {format_duration(bubble.seconds)}, {bubble.share:.1%} of the time",
        f"{bubble.flops_per_byte:,.3g} FLOPs per byte, {format_rate(bubble.flops_per_s)}, bound by {bubble.bound}",
    ]
