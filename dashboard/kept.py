"""Tables and charts of the hardware, made once and kept until devices and prices are read anew.

They are shared by all visitors: nobody changes what is returned.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pandas as pd
import plotly.graph_objects as go

from dashboard.against import AGAINST
from dashboard.answers import hardware, period
from dashboard.device_charts import price_against, price_over_time
from dashboard.devices import Shown, devices_table, history_table

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


def history(device: str) -> tuple[pd.DataFrame, go.Figure | None]:
    """Return what a device cost over time, and the chart if anything is known."""
    return _history(device, period())


@lru_cache(maxsize=MOST_KEPT)
def _history(device: str, _period: int) -> tuple[pd.DataFrame, go.Figure | None]:
    table = history_table(hardware(), device)
    return table, None if table.empty else price_over_time(table)
