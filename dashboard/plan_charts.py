"""How steps scale with devices, as a pure function from plans to a Plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from dashboard.palette import BLUE, GREEN, GREY, GRID, VERMILION, WHOLE_FIGURES, framed

KNEES: Final = {"knee_dollars": ("pays in dollars", GREEN, "dash"), "knee_hours": ("pays in hours", VERMILION, "dot")}


def scaling_curve(answer: dict[str, Any]) -> go.Figure:
    """Draw seconds of a step over devices, both logarithmic, the ideal line and the knees.

    Parameters
    ----------
    answer
        what `dashboard.search` prints; points without a plan are left out
    """
    points = [point for point in answer["points"] if point["plans"]]
    counts = [point["device_count"] for point in points]
    best = [point["plans"][0] for point in points]
    seconds = [plan["step_time_s"] for plan in best]
    figure = go.Figure([_ideal(counts, seconds), _steps(counts, best)])
    for name, (words, colour, dash) in KNEES.items():
        if answer[name]:
            figure.add_trace(_knee(answer[name], seconds, words, colour, dash))
    figure.update_xaxes(type="log", title="Devices", tickvals=counts, ticktext=[f"{n:,}" for n in counts])
    figure.update_yaxes(type="log", title="Step, seconds", tickformat=WHOLE_FIGURES, dtick="D2")
    figure.update_xaxes(gridcolor=GRID)
    figure.update_yaxes(gridcolor=GRID)
    framed(figure, 440)
    return figure


def _ideal(counts: Sequence[int], seconds: Sequence[float]) -> go.Scatter:
    ideal = [seconds[0] * counts[0] / count for count in counts]
    line = {"color": GREY, "width": 1.5, "dash": "dot"}
    return go.Scatter(x=counts, y=ideal, mode="lines", name="as many times faster", line=line, hoverinfo="skip")


def _steps(counts: Sequence[int], best: Sequence[dict[str, Any]]) -> go.Scatter:
    middle = [plan["step_time_s"] for plan in best]
    above = [plan["step_time_s_high"] - plan["step_time_s"] for plan in best]
    below = [plan["step_time_s"] - plan["step_time_s_low"] for plan in best]
    return go.Scatter(
        x=counts,
        y=middle,
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1},
        mode="lines+markers",
        name="best plan, range",
        line={"color": BLUE, "width": 2},
        marker={"size": 10, "color": BLUE, "line": {"width": 1, "color": "white"}},
        customdata=[[plan["split"], f"{plan['mfu']:.0%}"] for plan in best],
        hovertemplate="<b>%{x:,} devices</b><br>%{y:.3~g} s<br>%{customdata[0]}<br>MFU %{customdata[1]}<extra></extra>",
    )


def _knee(band: Sequence[int], seconds: Sequence[float], words: str, colour: str, dash: str) -> go.Scatter:
    """Draw the last number that pays as an upright line; two lines where links leave it open."""
    least, most = band
    ends = [min(seconds), max(seconds)]
    x: list[float | None] = [least, least] if least == most else [least, least, None, most, most]
    y: list[float | None] = [*ends] if least == most else [*ends, None, *ends]
    named = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    line = {"color": colour, "width": 2, "dash": dash}
    return go.Scatter(x=x, y=y, mode="lines", name=f"{named}: {words}", line=line, hoverinfo="name")
