"""The roofline of the run on one device, at the micro-batch that the estimator chooses there."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.answers import hardware, period
from dashboard.once import once
from dashboard.roofline_charts import roofline_chart
from dashboard.run_state import RunChoice
from estimator import estimate
from estimator.roofline import Roofline, roofline
from estimator.workload import Workload
from hardware_db import Device
from profiles.model_profile import ModelProfile


@dataclass(frozen=True, slots=True)
class Drawn:
    """A roofline, its chart, at which sizes, and why one device cannot run it (empty where it can)."""

    found: Roofline
    figure: go.Figure
    sized: str
    unfit: str


def drawn(choice: RunChoice, profile: ModelProfile, device: Device) -> Drawn:
    """Return the roofline of one step on one device; where it does not fit, of the sizes asked for or recorded.

    Raises
    ------
    FlopcastError
        the device lacks the precision or publishes no bandwidth, or the sizes cannot be
    """
    return _drawn(profile, choice.without_amount(), device.id, period())


@once
def _drawn(profile: ModelProfile, choice: RunChoice, device: str, _period: int) -> Drawn:
    run = choice.run(profile)
    row = estimate(run, device, database=hardware().database)
    chosen = row.answer.replica.micro_batch_size if row.answer.replica else None
    micro = chosen or run.micro_batch_size or profile.batch_size
    passes = row.answer.accumulation or 1
    found = roofline(Workload(run), row.device, micro, passes)
    sized = f"{profile.model}, {profile.precision}, {passes} × micro-batch {micro}"
    unfit = f"{row.why_not}\nDrawn all the same." if row.why_not else ""
    return Drawn(found, roofline_chart(found), sized, unfit)
