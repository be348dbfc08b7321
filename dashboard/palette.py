"""Colours and marker shapes: Okabe and Ito's palette, told apart without colour vision; one of each a device kind.

Source: M. Okabe and K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A8A8A"
GRID: Final = "rgba(138,138,138,0.25)"
"""Lines of the grid, seen on light and on dark."""

WHOLE_FIGURES: Final = ",~g"
"""Labels of a logarithmic axis that can be read on their own: 0.05, 0.1, 0.2 and not 5, 0.1, 2."""
FRAME: Final = {"l": 76, "r": 10, "t": 10}
"""Margins with room for six digits and a title at the left."""
ABOVE_LEGEND: Final = 66
"""Pixels below a plot that its labels and title take."""
LEGEND_LINE, LEGEND_END = 20, 18
"""Pixels that a line of a legend takes, and that stay free above and below all of them."""
MARGIN: Final = {"l": 10, "r": 10, "t": 10, "b": 10}


def legend_below(y: float) -> dict[str, object]:
    """Return a legend in one line under a chart, where it is not in the way on a phone; `y` in heights of the plot."""
    return {"orientation": "h", "yanchor": "top", "y": y}


def framed(figure: go.Figure, height: int, lines: int = 1, **layout: Any) -> None:
    """Give a chart with numbers on its axes its height and margins, in pixels, and a legend of some lines below.

    Plotly draws a chart once more whenever labels widen the margins; where they are known it is drawn once. A legend
    that takes more lines, as on a phone, still makes room for itself.
    """
    margin = FRAME | {"b": ABOVE_LEGEND + LEGEND_END + LEGEND_LINE * lines} | layout.pop("margin", {})
    figure.update_xaxes(automargin=False)
    figure.update_yaxes(automargin=False)
    plot = height - margin["t"] - margin["b"]
    figure.update_layout(height=height, margin=margin, legend=legend_below(-ABOVE_LEGEND / plot), **layout)


@dataclass(frozen=True, slots=True)
class KindStyle:
    """How one kind of device is drawn: name in the legend, colour and marker, so that colour is never alone."""

    label: str
    colour: str
    marker: str


KINDS: Final[dict[str, KindStyle]] = {
    "gpu": KindStyle("GPU", BLUE, "circle"),
    "tpu": KindStyle("TPU", ORANGE, "diamond"),
    "cpu": KindStyle("CPU", GREEN, "square"),
    "npu": KindStyle("NPU", PURPLE, "triangle-up"),
    "fpga": KindStyle("FPGA", VERMILION, "cross"),
    "edge": KindStyle("Edge", SKY, "star"),
    "mobile": KindStyle("Mobile", GREY, "hexagon"),
}

BOUNDS: Final[dict[str, str]] = {"compute": BLUE, "memory": ORANGE, "launch": PURPLE, "network": VERMILION}
