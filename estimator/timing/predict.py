"""Time of every distinct operation of a table on one device.

    device time = start of the kernel + (compute^o + memory^o)^(1/o)
    compute = FLOPs of the tiles / (sustained rate * shares), memory = bytes / (bandwidth * share)

(Williams, Waterman and Patterson 2009, with shares fitted to published measurements, see `estimator.calibration`.) The
host that issues the operations is a second stream beside the device.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from estimator.ranges import Range
from estimator.timing.corrections import Correction, correction_of, published_correction, spread_of, sustained_with
from estimator.timing.launch import copy_seconds
from estimator.timing.machine import machine_of
from estimator.timing.measured import cpu_seconds
from estimator.timing.parameters import parameters_of
from estimator.timing.seconds import Seconds, seconds_of, side_by_side
from estimator.timing.settings import EAGER, TimeBreakdown, TimeSettings
from estimator.timing.work import work_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.tables import OperationTable


def predict(
    table: OperationTable, device: Device, settings: TimeSettings, correction: Correction | None = None
) -> TimeBreakdown:
    """Return the time of each distinct operation of `table` on `device`.

    Parameters
    ----------
    table
        operations of one step of one micro-batch
    device
        one device as the framework counts it
    settings
        how the operations are executed
    correction
        what is known of the device beyond its datasheet; by default what published measurements say

    Raises
    ------
    UnknownPrecision
        a matrix product runs in a precision for which the device publishes no peak
    UsageError
        the device publishes no memory bandwidth
    """
    correction = correction or correction_of(device)
    work = work_of(table)
    machine = correction.applied(machine_of(table, device, settings.execution, settings.memory_format))
    training = bool(work.backward.any())
    seconds = seconds_of(work, machine, training, parameters_of(device.kind))
    basis = correction.basis
    if correction.measured is not None and device.kind == "cpu":
        eager = seconds_of(work, replace(machine, style=np.asarray(EAGER)), training, parameters_of(device.kind)).device
        spared = np.divide(seconds.device, eager, out=np.ones_like(eager), where=eager > 0)
        seconds, enough = cpu_seconds(table, device, correction.measured, seconds, spared)
        basis = basis if enough else published_correction(device).basis
    seconds = Seconds(seconds.parts, seconds.host * correction.host)
    spread = spread_of(device.kind, settings.execution, basis)
    ends = np.array([[spread.low], [1.0], [spread.high]])
    return TimeBreakdown(
        device_s=ends * seconds.device * work.calls,
        host_s=ends * seconds.host * work.calls,
        bound=seconds.parts.argmax(axis=0),
        basis=basis,
    )


def sustained_flops_per_s(device: Device, precision: str) -> float:
    """Return the FLOP/s that large matrix products sustain in a precision.

    Raises
    ------
    UnknownPrecision
        the device publishes no peak for it
    UsageError
        the device publishes no memory bandwidth
    """
    return sustained_with(correction_of(device), device, precision)


def streaming(moved_bytes: float, device: Device) -> Range:
    """Return the seconds of an element-wise operation that moves so many bytes.

    Raises
    ------
    UsageError
        the device publishes no memory bandwidth
    """
    if device.memory_bandwidth_bytes_per_s is None:
        raise UsageError(f"no memory bandwidth of {device.id} is known")
    correction = correction_of(device)
    share = parameters_of(device.kind)["elementwise_bandwidth"] * correction.bandwidth
    spread = spread_of(device.kind, "eager", correction.basis)
    seconds = moved_bytes / (device.memory_bandwidth_bytes_per_s * share)
    return Range(seconds * spread.low, seconds, seconds * spread.high)


def copying(copied_bytes: float, kind: str) -> float:
    """Return the seconds that a step waits for inputs copied from pageable memory to a kind of device."""
    return float(copy_seconds(np.asarray(copied_bytes), parameters_of(kind)))


def beside(busy: Range, host: Range, kind: str) -> Range:
    """Return how long device and host take side by side on a kind of device."""
    order = parameters_of(kind)["side_by_side_order"]
    device_s, host_s = (np.array([each.low, each.mid, each.high]) for each in (busy, host))
    return Range(*side_by_side(device_s, host_s, order).tolist())
