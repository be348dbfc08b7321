"""What prices of devices are set against: arithmetic, memory, bandwidth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Against:
    """What prices are drawn against: its column, the column of the price of one unit of it, and how both are called."""

    column: str
    unit_price: str
    label: str
    cheapest: str
    per: str


AGAINST: Final = {
    "peak": Against(
        "peak_tflop_per_s", "usd_per_pflop_s_hour", "Dense peak for training, TFLOP/s", "arithmetic", "PFLOP/s"
    ),
    "memory": Against("memory_gib", "usd_per_gib_hour", "Memory, GiB", "memory", "GiB"),
    "bandwidth": Against(
        "bandwidth_tb_per_s", "usd_per_tb_s_hour", "Memory bandwidth, TB/s", "memory bandwidth", "TB/s"
    ),
}
