"""The time and memory of a measured case, predicted from its profile, and what simpler rules would have said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimator.ranges import Range
from estimator.timing import Basis, TimeBreakdown, beside, predict
from estimator.validation.execution import execution_of
from estimator.validation.floors import Floors, floors_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.timing.settings import Floats
    from estimator.validation.cases import Case
    from hardware_db import Device
    from profiles.model_profile import ModelProfile
    from profiles.tables import OperationTable


@dataclass(frozen=True, slots=True)
class Prediction:
    """What flopcast says of a case.

    `step_time` is its 80 % range, `peak_memory_bytes` what live tensors take at most, `floors` what rules of thumb say.
    """

    step_time: Range
    basis: Basis
    peak_memory_bytes: int
    floors: Floors


def predict_case(case: Case, profile: ModelProfile, device: Device) -> Prediction:
    """Predict a case that ran on one device.

    Raises
    ------
    FlopcastError
        The device has no peak for the precision, no bandwidth, or the case ran on several devices.
    """
    if case.device_count > 1:
        raise UsageError("it ran on several devices")
    one = device.logical_device()
    table = profile.table()
    breakdown = predict(table, one, execution_of(case))
    weights = calls_in_step(table, case)
    return Prediction(
        step_time=step_range(breakdown, weights, device.kind),
        basis=breakdown.basis,
        peak_memory_bytes=profile.peak_memory_bytes,
        floors=floors_of(table, weights, one),
    )


def calls_in_step(table: OperationTable, case: Case) -> Floats:
    """How often each operation of the table runs in what was measured of the case.

    The passes once a micro-batch; the optimizer once, or never where the measured step has none.
    """
    with_optimizer = case.training and case.scope in (None, "step")
    return np.where(table.phase.mask("optimizer"), float(with_optimizer), float(case.accumulation))


def step_range(breakdown: TimeBreakdown, weights: Floats, kind: str) -> Range:
    """Return the range of a step whose operations run `weights` times, device and host side by side."""
    busy, host = (Range(*(each @ weights).tolist()) for each in (breakdown.device_s, breakdown.host_s))
    return beside(busy, host, kind)
