"""What a step's time goes to, kind of operation by kind, what binds it, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.memory import overhead_of
from estimator.ranges import Range
from estimator.step import step_weights
from estimator.timing import BOUNDS, TimeSettings, beside, predict
from estimator.workload import Workload
from hardware_db.errors import FlopcastError
from profiles.tables import Labels

if TYPE_CHECKING:
    from estimator.result import Estimate
    from hardware_db import Device
    from profiles.tables import OperationTable

SHOWN: Final = 5

LOWER: Final = {"float32": "tf32", "bfloat16": "float8", "float16": "float8"}
"""Precision of products -> the next one down that frameworks offer for the same weights."""


@dataclass(frozen=True, slots=True)
class Share:
    """All calls of one operator in one phase: seconds on the device in a step, their share of it, and what binds."""

    operator: str
    phase: str
    calls: float
    seconds: float
    share: float
    bound: str


@dataclass(frozen=True, slots=True)
class Change:
    """What could be done, and what it would make of the seconds of a sample: below 1 is faster."""

    what: str
    factor: float


def largest_shares(row: Estimate, shown: int = SHOWN) -> tuple[Share, ...]:
    """Return the operators that take most of a step's device time, largest first.

    None without an answer, or where layers are split over devices.
    """
    replica = row.answer.replica
    if row.answer.step is None or replica is None or row.answer.step.split.model_devices > 1:
        return ()
    work, device = Workload(row.run), row.answer.device.logical_device()
    table, breakdown = work.table(replica.micro_batch_size), work.breakdown(device, replica.micro_batch_size)
    weights = step_weights(table, row.answer.accumulation or 1)
    seconds, calls = breakdown.device_s[1] * weights, table.count.astype(np.float64) * weights
    pairs = table.operator.codes * len(table.phase.names) + table.phase.codes
    unique, back = np.unique(pairs, return_inverse=True)
    sums = np.bincount(back, seconds)
    found = []
    for place in np.argsort(-sums)[:shown]:
        operator, phase = divmod(int(unique[place]), len(table.phase.names))
        mine = back == place
        bound = np.bincount(breakdown.bound[mine], seconds[mine], minlength=len(BOUNDS)).argmax()
        found.append(
            Share(
                table.operator.names[operator],
                table.phase.names[phase],
                float(calls[mine].sum()),
                float(sums[place]),
                float(sums[place] / sums.sum()),
                BOUNDS[bound],
            )
        )
    return tuple(found)


def changes(row: Estimate) -> tuple[Change, ...]:
    """Return what would change the time of a sample on each device, best first.

    None without an answer, or where layers are split over devices.
    """
    step = row.answer.step
    if step is None or row.answer.replica is None or step.split.model_devices > 1:
        return ()
    return tuple(sorted(_changes(row), key=lambda change: change.factor))


def _changes(row: Estimate) -> Iterator[Change]:
    assert row.answer.replica is not None
    work, device = Workload(row.run), row.answer.device.logical_device()
    micro, passes = row.answer.replica.micro_batch_size, row.answer.accumulation or 1
    table = work.table(micro)
    plain = work.settings_on(device)
    now = _seconds(table, device, plain, passes)
    if plain.execution == "eager":
        compiled = TimeSettings("inductor", plain.memory_format)
        yield Change("torch.compile", _seconds(table, device, compiled, passes) / now)
    if work.may_be_channels_last(device, micro):
        last = TimeSettings(plain.execution, "channels_last")
        yield Change("images in channels last", _seconds(table, device, last, passes) / now)
    lower = _in_lower_precision(table, device)
    if lower is not None:
        changed, name = lower
        yield Change(f"products in {name}", _seconds(changed, device, plain, passes) / now)
    if passes % 2 == 0 and _fits(work, row, 2 * micro):
        double = _seconds(work.table(2 * micro), device, plain, passes // 2)
        yield Change(f"micro-batch {2 * micro}", double / now)


def _seconds(table: OperationTable, device: Device, settings: TimeSettings, passes: int) -> float:
    breakdown, weights = predict(table, device, settings), step_weights(table, passes)
    busy, host = (Range(*(each @ weights).tolist()) for each in (breakdown.device_s, breakdown.host_s))
    return beside(busy, host, device.kind).mid


def _in_lower_precision(table: OperationTable, device: Device) -> tuple[OperationTable, str] | None:
    """Return the same operations with products in the next lower precision that the device has, and its name."""
    products = table.engine.mask("matrix")
    names = [LOWER[name] for name in LOWER if (products & table.precision.mask(name)).any()]
    lower = next((name for name in names if name in device.matrix_peaks), None)
    if lower is None:
        return None
    values = table.precision.values.astype("U16")
    values[products & np.isin(values, [name for name, to in LOWER.items() if to == lower])] = lower
    return replace(table, precision=Labels.of(values.tolist())), lower


def _fits(work: Workload, row: Estimate, micro_batch_size: int) -> bool:
    """Whether a larger micro-batch fits the device and the profile holds for it."""
    assert row.answer.replica is not None
    larger = replace(row.answer.replica, micro_batch_size=micro_batch_size)
    try:
        need = work.need(larger, overhead_of(row.answer.device.logical_device()))
    except FlopcastError:
        return False
    return row.answer.capacity_bytes is not None and need.total_bytes <= row.answer.capacity_bytes
