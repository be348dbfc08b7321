"""What simpler rules would have said: the floor that a prediction has to beat on the same cases."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from estimator.timing.machine import product_peaks

if TYPE_CHECKING:
    from estimator.timing.settings import Floats
    from hardware_db import Device
    from profiles.tables import OperationTable

GENERAL = "any"


@dataclass(frozen=True, slots=True)
class Floors:
    """Seconds by two rules of thumb.

    constant_utilisation_s   FLOPs of the products / (peak x the usual utilisation of that precision)
    datasheet_roofline_s     for each operation the longer of FLOPs / peak and bytes / bandwidth (Williams et al. 2009)
    """

    constant_utilisation_s: float
    datasheet_roofline_s: float

    def over(self, devices: int) -> Floors:
        """Return both for a replica that is spread over several devices without loss."""
        return Floors(self.constant_utilisation_s / devices, self.datasheet_roofline_s / devices)


@cache
def usual_utilisation() -> dict[str, float]:
    """Median share of the peak that published steps reached, by the precision of their products."""
    with (files("estimator.validation") / "utilisation.csv").open(encoding="utf-8") as file:
        return {row["precision"]: float(row["utilisation"]) for row in csv.DictReader(file)}


def floors_of(table: OperationTable, weights: Floats, device: Device) -> Floors:
    """Return both for operations that run `weights` times a step."""
    calls = table.count.astype(np.float64) * weights
    at_peak = ideal_seconds(table, device)
    usual = usual_utilisation()
    share = np.nan_to_num(table.precision.map(usual), nan=usual[GENERAL])
    moved = table.bytes_moved.astype(np.float64) / (device.memory_bandwidth_bytes_per_s or np.inf)
    return Floors(
        constant_utilisation_s=float((at_peak / share) @ calls),
        datasheet_roofline_s=float(np.maximum(at_peak, moved) @ calls),
    )


def ideal_seconds(table: OperationTable, device: Device) -> Floats:
    """Return the seconds of one call of each operation's products at the datasheet peak; 0 for other operations."""
    peak, _ = product_peaks(table, device)
    seconds: Floats = np.nan_to_num(table.flops.astype(np.float64) / peak, nan=0.0)
    return seconds
