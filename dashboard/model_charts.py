"""Charts of one model's training step as pure functions from its profile to Plotly figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.once import once
from dashboard.palette import BLUE, GREEN, GREY, GRID, MARGIN, ORANGE, PURPLE, SKY, VERMILION, legend_below
from hardware_db import Device
from hardware_db.units import format_bytes, format_flops
from profiles.breakdown import GroupRow, ModuleRow, by_label, module_tree
from profiles.model_profile import ModelProfile
from profiles.timeline import LiveBytes

GIB: Final = 2**30
MOST_BARS: Final = 15
MOST_LETTERS: Final = 26
LAST_LETTERS: Final = 16
ROOMY: Final = 4.0
"""A device with so many times the memory of the peak is left above the chart: the parts would be a line at its foot."""
UNDIVIDED: Final = 0.9
"""A module that has so large a share of what it is in only wraps it: its parts are looked at instead."""
Measure = Callable[[ModuleRow], int]
MEASURES: Final[Mapping[str, tuple[Measure, Callable[[float | None], str]]]] = {
    "flops": (lambda row: row.flops.total, format_flops),
    "bytes": (lambda row: row.bytes_moved.total, format_bytes),
    "activations": (lambda row: row.activation_bytes, format_bytes),
}
"""Quantity -> its value in a row of modules, and how it is written."""
HELD: Final = {
    "parameter_bytes": ("parameters", BLUE),
    "buffer_bytes": ("buffers", GREY),
    "optimizer_state_bytes": ("optimizer states", PURPLE),
    "gradient_bytes": ("gradients", ORANGE),
    "input_bytes": ("inputs", SKY),
    "activation_bytes": ("activations", GREEN),
}


@once
def icicle(profile: ModelProfile, quantity: str) -> go.Figure:
    """Draw the tree of modules, each as wide as its share of a quantity; a click zooms into a module."""
    measure, write = MEASURES[quantity]
    rows = list(_flat(module_tree(profile), "", ""))
    figure = go.Figure(
        go.Icicle(
            ids=[name for name, _, _ in rows],
            parents=[parent for _, parent, _ in rows],
            labels=[row.name for _, _, row in rows],
            values=[measure(row) for _, _, row in rows],
            branchvalues="total",
            text=[write(measure(row)) for _, _, row in rows],
            textinfo="label+text",
            hovertemplate="<b>%{id}</b><br>%{text}<br>%{percentRoot:.1%} of the model<extra></extra>",
            maxdepth=5,
            tiling={"orientation": "v"},
            root={"color": "#5F6B76"},
            leaf={"opacity": 1},  # else a dark page shines through and hides what is written on it
        )
    )
    colours = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION]
    figure.update_layout(
        height=480,
        margin={"l": 0, "r": 0, "t": 36, "b": 0},
        iciclecolorway=colours,
        uniformtext={"minsize": 10, "mode": "hide"},  # what has no room for its name says it when pointed at
    )
    return figure


@once
def largest_part(profile: ModelProfile, quantity: str) -> tuple[str, float]:
    """Return the module that has most of a quantity, and its share, where the model first divides."""
    measure, _ = MEASURES[quantity]
    root = place = module_tree(profile)
    while place.children:
        largest = max(place.children, key=measure)
        if measure(largest) < UNDIVIDED * measure(place):
            return largest.path or largest.name, measure(largest) / measure(root)
        place = largest
    return place.path or place.name, measure(place) / max(measure(root), 1)


@once
def largest_operator(groups: tuple[GroupRow, ...], quantity: str) -> tuple[str, float]:
    """Return the operator with the most FLOPs or bytes, and its share."""
    attribute = "flops" if quantity == "flops" else "bytes_moved"
    totals = {group.name: getattr(group, attribute).total for group in groups}
    name = max(totals, key=lambda each: totals[each])
    return name, totals[name] / max(sum(totals.values()), 1)


def _flat(row: ModuleRow, parent: str, place: str) -> Iterator[tuple[str, str, ModuleRow]]:
    """Yield id, parent's id and row of the tree; the path alone is no id: "(itself)" shares its parent's."""
    name = f"{place}/{row.name}" if place else row.name
    yield name, parent, row
    for child in row.children:
        yield from _flat(child, name, name)


@once
def operators_of(profile: ModelProfile) -> tuple[GroupRow, ...]:
    """Return what each operator computes and moves."""
    return by_label(profile, "operator")


@once
def largest_groups(groups: tuple[GroupRow, ...], quantity: str) -> go.Figure:
    """Draw the operators with the most FLOPs or bytes as bars, largest on top, split by phase."""
    attribute = "flops" if quantity == "flops" else "bytes_moved"
    ordered = sorted(groups, key=lambda group: getattr(group, attribute).total, reverse=True)[:MOST_BARS][::-1]
    figure = go.Figure()
    for phase, colour in (("forward", BLUE), ("backward", ORANGE), ("optimizer", PURPLE)):
        figure.add_trace(
            go.Bar(
                x=[getattr(getattr(group, attribute), phase) for group in ordered],
                y=[group.name for group in ordered],
                hovertemplate=f"<b>%{{y}}</b><br>{phase}: %{{x:.3~s}}<extra></extra>",
                orientation="h",
                name=phase,
                marker={"color": colour},
            )
        )
    unit = "FLOPs" if attribute == "flops" else "bytes moved"
    figure.update_xaxes(title=f"{unit} of one step", gridcolor=GRID, exponentformat="SI", nticks=5, tickangle=0)
    figure.update_yaxes(
        tickvals=[group.name for group in ordered], ticktext=[_shortened(group.name) for group in ordered]
    )
    height = 150 + 24 * len(ordered)
    figure.update_layout(
        barmode="stack",
        height=height,
        margin=MARGIN | {"t": 36},
        legend=legend_below(-60 / (height - 130)) | {"traceorder": "normal"},
    )
    return figure


def _shortened(operator: str) -> str:
    """Return an operator's name as it has room beside a bar: "scaled_do…tention_backward".

    Its end is kept: the gradient of an operator is named after it.
    """
    name = operator.partition(".")[2].strip("_") or operator
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - LAST_LETTERS - 1]}…{name[-LAST_LETTERS:]}"


def memory_timeline(moments: tuple[LiveBytes, ...], device: Device) -> go.Figure:
    """Draw the bytes alive through one step [GiB], stacked by what holds them, with a device's memory as a line.

    Where the line is far above the peak, the axis ends below it and the legend says how high it is.
    """
    figure = go.Figure()
    places = np.array([f"{moment.phase}, {moment.module or 'the model'}" for moment in moments], dtype=object)
    for field, (name, colour) in HELD.items():
        values = np.array([getattr(moment, field) / GIB for moment in moments])
        if not values.any():
            continue
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(moments)),
                y=values,
                name=name,
                stackgroup="held",
                mode="lines",
                line={"width": 0.5, "color": colour},
                customdata=places,
                hovertemplate=f"%{{customdata}}<br>{name} %{{y:.3~g}} GiB<extra></extra>",
            )
        )
    peak = max((moment.total_bytes for moment in moments), default=0) / GIB
    there = (device.usable_memory_bytes or 0) / GIB
    roomy = there > ROOMY * peak > 0
    if there:
        figure.add_trace(
            go.Scatter(
                x=[0, max(len(moments) - 1, 1)],
                y=[there] * 2,
                mode="lines",
                name=f"{device.id} has {there:,.3g} GiB{', above the chart' if roomy else ''}",
                line={"color": VERMILION, "width": 2, "dash": "dash"},
                hoverinfo="name",
            )
        )
    figure.update_xaxes(title="moments of the step: forward, backward, optimizer", showticklabels=False)
    figure.update_yaxes(title="GiB alive", gridcolor=GRID, rangemode="tozero")
    if roomy:
        figure.update_yaxes(range=[0, 1.25 * peak])
    figure.update_layout(
        height=420,
        margin=MARGIN | {"t": 36},
        legend={"orientation": "h", "yanchor": "top", "y": -0.15, "traceorder": "normal"},
    )
    return figure
