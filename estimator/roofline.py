"""The operations of a step under the roof of a device: how much arithmetic each does a byte, and how fast it runs.

roof = min(peak FLOP/s, bandwidth × FLOPs per byte) (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from estimator.step import step_weights
from estimator.timing import BOUNDS, correction_of, streaming, sustained_flops_per_s

if TYPE_CHECKING:
    from estimator.timing import TimeBreakdown
    from estimator.timing.settings import Floats
    from estimator.workload import Workload
    from hardware_db import Device
    from profiles.tables import OperationTable

STREAMED_BYTES: Final = 1e9
"""Bytes of the element-wise operation whose rate is the sustained bandwidth."""


@dataclass(frozen=True, slots=True)
class Roof:
    """What a device can do at most: `basis` is "datasheet" for its published figures, else where efficiencies are from.

    `flops_per_s` is the dense peak in the precision of the run's products, `bytes_per_s` the memory bandwidth.
    """

    basis: str
    flops_per_s: float
    bytes_per_s: float

    @property
    def ridge(self) -> float:
        """FLOPs per byte from which on arithmetic binds, not memory."""
        return self.flops_per_s / self.bytes_per_s

    def at(self, flops_per_byte: float) -> float:
        """FLOP/s that the roof allows."""
        return min(self.flops_per_s, self.bytes_per_s * flops_per_byte)


@dataclass(frozen=True, slots=True)
class Bubble:
    """All equal calls of an operation in one step.

    `flops` and `bytes_moved` are those of all its calls; `share` is its part of the device's time; `bound` what takes
    most of it: compute, memory or launch.
    """

    operator: str
    family: str
    phase: str
    precision: str
    calls: float
    flops: float
    bytes_moved: float
    seconds: float
    share: float
    bound: str

    @property
    def flops_per_byte(self) -> float:
        """Arithmetic intensity."""
        return self.flops / self.bytes_moved

    @property
    def flops_per_s(self) -> float:
        """FLOPs over the seconds predicted."""
        return self.flops / self.seconds


@dataclass(frozen=True, slots=True)
class Roofline:
    """The operations of a step, those with arithmetic as bubbles, and the roofs.

    Attributes
    ----------
    bubbles
        longest first
    datasheet, sustained
        what is published, and what large products and element-wise operations reach
    bounds
        compute, memory, launch -> the share of the device's time of all operations that it binds
    without_flops
        share of the time of operations without arithmetic
    """

    bubbles: tuple[Bubble, ...]
    datasheet: Roof
    sustained: Roof
    bounds: Mapping[str, float]
    without_flops: float


def roofline(work: Workload, device: Device, micro_batch_size: int, passes: int = 1) -> Roofline:
    """Place the operations of a step on a device's roofline.

    Parameters
    ----------
    work
        the run
    device
        as it is rented; of several dies one is taken
    micro_batch_size, passes
        samples of a pass, and forward and backward passes of a step

    Raises
    ------
    UnknownPrecision
        the device publishes no peak for a precision of the run
    UsageError
        the device publishes no memory bandwidth
    """
    one = device.logical_device()
    table, times = work.table(micro_batch_size), work.breakdown(one, micro_batch_size)
    seconds = times.device_s[1] * step_weights(table, passes)
    bubbles = _bubbles(table, times, passes)
    bounds = np.bincount(times.bound, seconds, minlength=len(BOUNDS)) / seconds.sum()
    precision = work.run.precision
    sustained = sustained_flops_per_s(one, precision)
    streamed = STREAMED_BYTES / streaming(STREAMED_BYTES, one).mid
    published = one.memory_bandwidth_bytes_per_s or 0.0
    datasheet = Roof("datasheet", one.peak_flops_per_s(precision), published)
    return Roofline(
        bubbles,
        datasheet,
        Roof(correction_of(one).basis, sustained, streamed),
        dict(zip(BOUNDS, bounds.tolist(), strict=True)),
        without_flops=1.0 - sum(bubble.share for bubble in bubbles),
    )


class _Call(NamedTuple):
    """What equal calls have in common; FLOPs and bytes of one of them."""

    operator: str
    family: str
    phase: str
    precision: str
    flops: float
    bytes_moved: float


def _bubbles(table: OperationTable, times: TimeBreakdown, passes: int) -> tuple[Bubble, ...]:
    """Put equal calls together, wherever in the model they are; what does no arithmetic has no place on the chart."""
    weights = step_weights(table, passes)
    seconds, calls = times.device_s[1] * weights, table.count.astype(np.float64) * weights
    total = float(seconds.sum())
    found = []
    for call, rows in _alike(table, seconds).items():
        bound = int(np.bincount(times.bound[rows], seconds[rows]).argmax())
        number, spent = float(calls[rows].sum()), float(seconds[rows].sum())
        sizes = (number, number * call.flops, number * call.bytes_moved)
        found.append(Bubble(*call[:4], *sizes, spent, spent / total, BOUNDS[bound]))
    return tuple(sorted(found, key=lambda bubble: -bubble.seconds))


def _alike(table: OperationTable, seconds: Floats) -> dict[_Call, list[int]]:
    """Return the rows of equal calls that have arithmetic, bytes and a time."""
    flops, moved = table.executed_flops.astype(np.float64), table.bytes_moved.astype(np.float64)
    names = [label.values for label in (table.operator, table.family, table.phase, table.precision)]
    found: dict[_Call, list[int]] = {}
    for row in np.flatnonzero((flops > 0) & (moved > 0) & (seconds > 0)).tolist():
        operator, family, phase, precision = (str(values[row]) for values in names)
        call = _Call(operator, family, phase, precision, float(flops[row]), float(moved[row]))
        found.setdefault(call, []).append(row)
    return found
