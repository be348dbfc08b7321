"""What Compare shows of an answer: the kinds and limits that a visitor chose, the frontier, the best of each kind."""

from __future__ import annotations

from dataclasses import dataclass, replace

import plotly.graph_objects as go

from dashboard.charts import cost_time_scatter
from dashboard.figures import cost_of, hardware_of, time_of
from dashboard.limits import Limits
from dashboard.once import once
from dashboard.palette import KINDS
from estimator.estimates import Estimates


@dataclass(frozen=True, slots=True)
class Compared:
    """Options of the chosen kinds.

    shown     all of them, those that cannot run it too
    priced    those with a time and a cost
    keeping   of these, those that keep to the limits
    frontier  those that no other beats: of those that keep, or of all where none does
    listed    the rows of the table: those that keep and those that cannot; all where none keeps
    figure    cost over time; None where nothing is priced
    """

    shown: Estimates
    priced: Estimates
    keeping: Estimates
    frontier: Estimates
    listed: Estimates
    figure: go.Figure | None


@once
def compared(found: Estimates, kinds: tuple[str, ...], limits: Limits) -> Compared:
    """Return what is shown of an answer."""
    shown = replace(found, rows=tuple(row for row in found if row.device.kind in kinds))
    priced = replace(shown, rows=tuple(row for row in shown.answered if row.cost))
    keeping = limits.keeping(priced)
    some = keeping if len(keeping) else priced
    listed = replace(shown, rows=(*keeping.rows, *shown.unanswered.rows)) if limits and len(keeping) else shown
    figure = cost_time_scatter(priced, limits) if len(priced) else None
    return Compared(shown, priced, keeping, some.pareto(), listed, figure)


@once
def best_of_kinds(found: Estimates) -> str:
    """Return the cheapest option of each kind of device in words, the cheapest kind first.

    "Cheapest by kind: GPU $8.74 in 4.55 d (1× rtx-3080-10gb), TPU $24.3 in 9.01 h (1× tpu-v6e)"
    """
    parts = [replace(found, rows=tuple(row for row in found if row.device.kind == kind)) for kind in KINDS]
    cheapest = [part.cheapest() for part in parts]
    ordered = sorted((row for row in cheapest if row is not None), key=lambda row: row.cost_usd or 0.0)
    told = [f"{KINDS[row.device.kind].label} {cost_of(row)} in {time_of(row)} ({hardware_of(row)})" for row in ordered]
    return "Cheapest by kind: " + ", ".join(told)
