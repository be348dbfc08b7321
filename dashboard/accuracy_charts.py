"""Predicted against measured, as a pure function from left-out cases to a Plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import floor, log10
from statistics import median
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.accuracies import MOST_KEPT, left_out_of
from dashboard.palette import BLUE, GREEN, GREY, GRID, ORANGE, PURPLE, SKY, framed
from estimator.timing import BASES
from estimator.validation.accuracy import LeftOutCase
from estimator.validation.report import CLOSE

_STYLES: Final = ((BLUE, "circle"), (GREEN, "square"), (ORANGE, "diamond"), (PURPLE, "cross"), (SKY, "star"))
STYLES: Final = dict(zip(BASES, _STYLES, strict=True))
"""Colour and mark of each basis, so that colour is never alone."""
PLACE: Final = 0.03
"""Decades that a place takes: a third of a mark on a chart of six decades."""
OPACITY: Final = 0.55
MOST_TOLD: Final = 6
"""Cases that a mark names."""


def parity(cases: Sequence[LeftOutCase]) -> go.Figure:
    """Draw predicted over measured seconds, both logarithmic, the line of agreement and the band of 20 %."""
    figure = go.Figure()
    seconds = [value for case in cases for value in (case.measured_s, case.predicted_s)]
    ends = [min(seconds), max(seconds)]
    for factor, name, dash in ((1.0, "equal", "solid"), (1 + CLOSE, "20 % off", "dot"), (1 - CLOSE, "", "dot")):
        line = {"color": GREY, "width": 1.5, "dash": dash}
        y = [factor * end for end in ends]
        figure.add_trace(
            go.Scatter(x=ends, y=y, mode="lines", name=name, line=line, hoverinfo="skip", showlegend=bool(name))
        )
    for basis, (colour, mark) in STYLES.items():
        part = [case for case in cases if case.basis == basis]
        if part:
            figure.add_trace(_points(part, basis, colour, mark))
    for update, title in ((figure.update_xaxes, "Measured"), (figure.update_yaxes, "Predicted")):
        update(type="log", title=f"{title}, seconds of a step", gridcolor=GRID, dtick=1, exponentformat="power")
    framed(figure, 560)
    return figure


@lru_cache(maxsize=MOST_KEPT)
def parity_of(scheme: str, strata: tuple[str, ...]) -> go.Figure:
    """Return the chart of the strata (none: all) under one way of leaving out, drawn once."""
    return parity(left_out_of(scheme, strata))


def _points(part: Sequence[LeftOutCase], basis: str, colour: str, mark: str) -> go.Scatter:
    """Draw a mark for all cases that would lie on one another, as dark as they would be together."""
    places = _places(part)
    return go.Scatter(
        x=np.array([median(case.measured_s for case in cases) for cases in places], dtype=np.float32),
        y=np.array([median(case.predicted_s for case in cases) for cases in places], dtype=np.float32),
        mode="markers",
        name=basis,
        marker={"color": colour, "symbol": mark, "size": 6, "opacity": [_opacity(len(cases)) for cases in places]},
        text=[_said(cases) for cases in places],
        customdata=[len(cases) for cases in places],
        hovertemplate="<b>%{text}</b><br>measured %{x:.3~s}s, predicted %{y:.3~s}s<extra></extra>",
    )


def _places(part: Sequence[LeftOutCase]) -> list[list[LeftOutCase]]:
    """Return the cases place by place; what lies within two pixels or so is one place."""
    places: dict[tuple[int, int], list[LeftOutCase]] = {}
    for case in part:
        at = floor(log10(case.measured_s) / PLACE), floor(log10(case.predicted_s) / PLACE)
        places.setdefault(at, []).append(case)
    return list(places.values())


def _opacity(cases: int) -> float:
    return round(1 - (1 - OPACITY) ** cases, 3)


def _said(cases: Sequence[LeftOutCase]) -> str:
    told = [f"{case.case_id}, {case.stratum}: {case.error:+.0%}" for case in cases[:MOST_TOLD]]
    more = len(cases) - len(told)
    return "<br>".join([*told, f"and {more} more"] if more else told)
