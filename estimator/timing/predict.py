"""Time of every distinct operation of a table on one device.

    device time = start of the kernel + (compute^o + memory^o)^(1/o)
    compute = FLOPs of the tiles / (sustained rate * shares), memory = bytes / (bandwidth * share)

(Williams, Waterman and Patterson 2009, with shares fitted to published measurements, see `estimator.calibration`.) The
host that issues the operations is a second stream beside the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from estimator.timing.corrections import Correction, correction_of, spread_of
from estimator.timing.machine import machine_of, vector_peak
from estimator.timing.parameters import parameters_of
from estimator.timing.seconds import seconds_of
from estimator.timing.settings import TimeBreakdown, TimeSettings
from estimator.timing.work import work_of

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
    spread = spread_of(device.kind, settings.execution, correction.basis)
    ends = np.array([[spread.low], [1.0], [spread.high]])
    return TimeBreakdown(
        device_s=ends * seconds.device * work.calls,
        host_s=ends * seconds.host * work.calls,
        bound=seconds.parts.argmax(axis=0),
        basis=correction.basis,
        notes=_notes(table, device),
    )


def _notes(table: OperationTable, device: Device) -> tuple[str, ...]:
    moves = table.engine.mask("vector") & (table.executed_flops > 0)
    used = [table.precision.names[code] for code in np.unique(table.precision.codes[moves])]
    unknown = [precision for precision in used if not np.isfinite(vector_peak(device, precision))]
    if not unknown:
        return ()
    named = ", ".join(unknown)
    return (f"no {named} vector peak of {device.id} is known: element-wise operations count by their bytes alone",)
