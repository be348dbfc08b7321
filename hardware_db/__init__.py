"""Published hardware: devices, machines and prices, each figure with its source and date.

>>> from hardware_db import load
>>> load().device("H100 SXM").memory_bytes // 2**30
80
"""

from typing import TYPE_CHECKING, Any

from hardware_db.database import Database, load
from hardware_db.records import Device, Figure, Measurement, Offer, Source, System

if TYPE_CHECKING:
    from hardware_db.here import load_here

__all__ = ["Database", "Device", "Figure", "Measurement", "Offer", "Source", "System", "load", "load_here"]


def __getattr__(name: str) -> Any:
    """Import `load_here` when it is asked for: own devices and prices need more than the published tables."""
    if name != "load_here":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hardware_db.here import load_here

    return load_here
