"""Device and host seconds of every operation, from work, machine and parameters: the formulas put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimator.timing.launch import host_seconds, start_seconds
from estimator.timing.machine import Machine
from estimator.timing.products import kernel_seconds, product_seconds
from estimator.timing.rates import Parameters
from estimator.timing.recurrent import recurrent_seconds
from estimator.timing.settings import COMPUTE, LAUNCH, MEMORY, Floats
from estimator.timing.traffic import fault_seconds, traffic_seconds
from estimator.timing.work import Mask, Work


@dataclass(frozen=True, eq=False)
class Seconds:
    """Seconds of ONE call of each operation.

    `parts` is (3, n): what of `device` is computing, moving memory, starting the kernel; `host` runs beside it.
    """

    parts: Floats
    host: Floats

    @property
    def device(self) -> Floats:
        """Seconds on the device."""
        total: Floats = self.parts.sum(axis=0)
        return total


def seconds_of(work: Work, on: Machine, training: Mask | bool, p: Parameters) -> Seconds:
    """Return the seconds of each operation; `training` may differ by operation."""
    parts = np.zeros((3, work.n))
    for rows, (seconds, memory) in (
        (work.products.row, product_seconds(work.products, on.at(work.products.row), p)),
        (work.recurrent.row, recurrent_seconds(work.recurrent, on.at(work.recurrent.row), p)),
        (work.kernels.row, kernel_seconds(work.kernels, on.at(work.kernels.row), p)),
    ):
        bounded_by_memory = np.minimum(memory, seconds)
        parts[MEMORY] += np.bincount(rows, bounded_by_memory, minlength=work.n)
        parts[COMPUTE] += np.bincount(rows, seconds - bounded_by_memory, minlength=work.n)
    parts[MEMORY, work.traffic_row] = traffic_seconds(work, on.at(work.traffic_row), p)
    parts[MEMORY] += fault_seconds(work, on, p)
    parts[LAUNCH] = start_seconds(work, on, p)
    return Seconds(parts, host_seconds(work, on, training, p))


def side_by_side(device_s: Floats, host_s: Floats, order: float) -> Floats:
    """Return how long two streams take that run side by side: the longer one, and a little more where both are alike.

    (device^order + host^order)^(1/order): neither keeps perfectly ahead of the other.
    """
    longer = np.maximum(np.maximum(device_s, host_s), 1e-30)
    total: Floats = longer * ((device_s / longer) ** order + (host_s / longer) ** order) ** (1 / order)
    return total
