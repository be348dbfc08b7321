"""Tables, charts and texts of pages, made once; those of the hardware until devices and prices are read anew.

They are shared by all visitors: nobody changes what is returned.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pandas as pd
import plotly.graph_objects as go

from dashboard.against import AGAINST
from dashboard.answers import hardware, period
from dashboard.charts import step_parts
from dashboard.device_charts import price_against, price_over_time
from dashboard.devices import Shown, devices_table, figures_table, history_table, offers_table
from dashboard.model_charts import memory_timeline
from dashboard.once import once
from estimator.result import Estimate
from profiles.model_profile import ModelProfile

MOST_KEPT: Final = 64


def overview(shown: Shown, against: str) -> tuple[pd.DataFrame, go.Figure | None]:
    """Return the devices, the cheapest by a figure of `AGAINST` first, and their chart if any has a price."""
    return _overview(shown, against, period())


@lru_cache(maxsize=MOST_KEPT)
def _overview(shown: Shown, against: str, _period: int) -> tuple[pd.DataFrame, go.Figure | None]:
    figure = AGAINST[against]
    table = devices_table(hardware().database, shown, figure.unit_price)
    priced = table[table[figure.unit_price].notna()]
    return table, None if priced.empty else price_against(priced, figure)


def one_device(device: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return every published figure of a device, and its current offers."""
    return _one_device(device, period())


@lru_cache(maxsize=MOST_KEPT)
def _one_device(device: str, _period: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    database = hardware().database
    found = database.device(device)
    return figures_table(database, found), offers_table(database, found)


def history(device: str) -> tuple[pd.DataFrame, go.Figure | None]:
    """Return what a device cost over time, and the chart if anything is known."""
    return _history(device, period())


@lru_cache(maxsize=MOST_KEPT)
def _history(device: str, _period: int) -> tuple[pd.DataFrame, go.Figure | None]:
    table = history_table(hardware(), device)
    return table, None if table.empty else price_over_time(table)


@once
def parts_of(row: Estimate) -> go.Figure:
    """Return the chart of where a step's time goes."""
    step = row.answer.step
    return step_parts(step.buckets if step else {})


@once
def explained(row: Estimate) -> str:
    """Return every term of an estimate with its formula."""
    return str(row.explain())


@once
def alive(profile: ModelProfile, device: str, _period: int) -> go.Figure:
    """Return the chart of the bytes alive through one step beside the memory of a device."""
    timeline = profile.trace.recording.timeline
    moments = timeline.at(profile.batch_size, profile.sequence_length) if timeline else ()
    return memory_timeline(moments, hardware().database.device(device))
