"""Predicted against measured, as a pure function from left-out cases to a Plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import plotly.graph_objects as go

from dashboard.accuracies import MOST_KEPT, left_out_of
from dashboard.palette import BLUE, GREEN, GREY, GRID, MARGIN, ORANGE, PURPLE, SKY, legend_below
from estimator.timing import BASES
from estimator.validation.accuracy import LeftOutCase
from estimator.validation.report import CLOSE

_STYLES: Final = ((BLUE, "circle"), (GREEN, "square"), (ORANGE, "diamond"), (PURPLE, "cross"), (SKY, "star"))
STYLES: Final = dict(zip(BASES, _STYLES, strict=True))
"""Colour and mark of each basis, so that colour is never alone."""


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
    figure.update_layout(height=560, margin=MARGIN, legend=legend_below(-0.13))
    return figure


@lru_cache(maxsize=MOST_KEPT)
def parity_of(scheme: str, strata: tuple[str, ...]) -> go.Figure:
    """Return the chart of the strata (none: all) under one way of leaving out, drawn once."""
    return parity(left_out_of(scheme, strata))


def _points(part: Sequence[LeftOutCase], basis: str, colour: str, mark: str) -> go.Scatter:
    return go.Scatter(
        x=np.array([case.measured_s for case in part], dtype=np.float32),
        y=np.array([case.predicted_s for case in part], dtype=np.float32),
        mode="markers",
        name=basis,
        marker={"color": colour, "symbol": mark, "size": 6, "opacity": 0.55},
        text=[f"{case.case_id}, {case.stratum}: {case.error:+.0%}" for case in part],
        hovertemplate="<b>%{text}</b><br>measured %{x:.3~s}s, predicted %{y:.3~s}s<extra></extra>",
    )
