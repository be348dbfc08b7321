"""The time and memory of a measured case, predicted from its profile, and what simpler rules would have said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimator.parallel.layout import layout_of
from estimator.parallel.measured import asked_of_case
from estimator.ranges import ZERO, Range
from estimator.timing import Basis, TimeBreakdown, beside, copying, predict
from estimator.validation.execution import execution_of
from estimator.validation.floors import Floors, floors_of
from estimator.validation.software import copied_bytes, runs_optimizer

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


def runs_alone(case: Case) -> bool:
    """Whether every device of a case runs as if alone: one device, or copies of a model that only infer."""
    return case.device_count == 1 or (not case.training and case.model_devices == 1)


def predict_case(case: Case, profile: ModelProfile, device: Device) -> Prediction:
    """Predict a case from the profile of its micro-batch.

    Raises
    ------
    FlopcastError
        The device has no peak for the precision, no bandwidth, or the case is no strategy on several devices.
    """
    if not runs_alone(case):
        return _predict_split(case, profile, device.logical_device())
    one = device.logical_device()
    table = profile.table()
    breakdown = predict(table, one, execution_of(case))
    weights = calls_in_step(table, case)
    return Prediction(
        step_time=step_range(breakdown, weights, case, device.kind),
        basis=breakdown.basis,
        peak_memory_bytes=profile.peak_memory_bytes,
        floors=floors_of(table, weights, one),
    )


def _predict_split(case: Case, profile: ModelProfile, device: Device) -> Prediction:
    """Predict a case on several devices: the step of its strategy, without the optimizer where that was not timed."""
    step = asked_of_case(case, profile, device, execution_of(case)).step()
    table = profile.table()
    counted = case.model_copy(update={"gradient_accumulation_steps": step.micro_batches})
    weights = calls_in_step(table, counted) * _tokens_of_experts(profile, step.split.expert_parallel)
    floors = floors_of(table, weights, device)
    left_out = step.parts["optimizer"] if case.scope == "forward_backward" else ZERO
    return Prediction(
        step_time=Range(*(getattr(step.total, end) - getattr(left_out, end) for end in ("low", "mid", "high"))),
        basis=step.basis,
        peak_memory_bytes=step.peak_memory_bytes,
        floors=floors.over(step.split.model_devices),
    )


def _tokens_of_experts(profile: ModelProfile, expert_parallel: int) -> Floats | float:
    """Share of each operation that is done where experts are spread: some models send every token to every expert."""
    return layout_of(profile).chosen if expert_parallel > 1 else 1.0


def calls_in_step(table: OperationTable, case: Case) -> Floats:
    """How often each operation of the table runs in what was measured of the case.

    The passes once a micro-batch; the optimizer once, or never where the measured step has none.
    """
    return np.where(table.phase.mask("optimizer"), float(runs_optimizer(case)), float(case.accumulation))


def step_range(breakdown: TimeBreakdown, weights: Floats, case: Case, kind: str) -> Range:
    """Return the range of a step whose operations run `weights` times, device and host side by side.

    Where the timed region copies its inputs to the device first, the step waits for that as well.
    """
    busy, host = (Range(*(each @ weights).tolist()) for each in (breakdown.device_s, breakdown.host_s))
    step, copied_s = beside(busy, host, kind), copying(copied_bytes(case, kind), kind)
    return Range(step.low + copied_s, step.mid + copied_s, step.high + copied_s)
