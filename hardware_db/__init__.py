"""Published hardware: devices, machines and prices, each figure with its source and date.

>>> from hardware_db import load
>>> load().device("H100 SXM").memory_bytes // 2**30
80
"""

from hardware_db.database import Database, load
from hardware_db.records import Device, Figure, Measurement, Offer, Source, System

__all__ = ["Database", "Device", "Figure", "Measurement", "Offer", "Source", "System", "load"]
