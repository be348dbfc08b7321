"""Time of one training step under plain data parallelism: operations, host, gradients, optimizer and all-reduce.

    step = device beside host + exposed all-reduce
    device = accumulation * (forward + backward) + (accumulation - 1) * adding gradients up + optimizer

Device and host are two streams that run side by side (the host issues, the device executes); the longer one counts, and
a little more where both are alike (`estimator.timing.side_by_side`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimator.communication import Link, all_reduce_s, exposed_s
from estimator.memory import Replica, gradient_bytes
from estimator.ranges import ZERO, Range
from estimator.timing import BOUNDS, MEMORY, Basis, TimeBreakdown, beside, streaming
from estimator.workload import Workload
from profiles.records import PHASES

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.tables import OperationTable

BUCKETS = (*BOUNDS, "network")


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one training step and what they are made of.

    Attributes
    ----------
    total
        the step: device beside host, and what of the all-reduce is exposed
    forward, backward, optimizer
        device seconds of all micro-batches; `optimizer` includes adding up accumulated gradients
    device, host
        the two streams
    sent, exposed
        the whole all-reduce, and the part of it that the backward pass does not hide
    buckets
        middle seconds by what binds: compute, memory, launch, network
    basis, notes
        where the efficiencies come from, and what was left out
    """

    total: Range
    forward: Range
    backward: Range
    optimizer: Range
    device: Range
    host: Range
    sent: Range
    exposed: Range
    buckets: Mapping[str, float]
    basis: Basis
    notes: tuple[str, ...]

    @property
    def bound(self) -> str:
        """The bucket with the largest share."""
        return max(self.buckets, key=self.buckets.__getitem__)


def step_time(work: Workload, device: Device, link: Link, replica: Replica) -> StepTime:
    """Return the time of one step of `work` on as many of `device` (as the framework sees them) as the link joins.

    Raises
    ------
    UnknownPrecision
        the device publishes no peak for a precision of the profile's products
    """
    table = work.table(replica.micro_batch_size)
    passes = work.accumulation(replica)
    breakdown = work.breakdown(device, replica.micro_batch_size)
    gradients = gradient_bytes(work.run.profile, work.at(replica.micro_batch_size).memory.parameter_bytes)
    sums = _phase_sums(table, breakdown, passes)
    # Adding one micro-batch's gradients to those kept reads both and writes one.
    adding = streaming(3 * gradients, device) * (passes - 1)
    backward = sums["backward"] * (1 / passes)
    sent = all_reduce_s(gradients, link)
    exposed = exposed_s(sent, backward, gradients) if replica.replicas > 1 else ZERO
    busy = sums["forward"] + sums["backward"] + sums["optimizer"] + adding
    host = _range(breakdown.host_s @ step_weights(table, passes))
    together = beside(busy, host, device.kind)
    return StepTime(
        total=together + exposed,
        forward=sums["forward"],
        backward=sums["backward"],
        optimizer=sums["optimizer"] + adding,
        device=busy,
        host=host,
        sent=sent,
        exposed=exposed,
        buckets=_buckets(breakdown, step_weights(table, passes), (busy.mid, together.mid, adding.mid, exposed.mid)),
        basis=breakdown.basis,
        notes=breakdown.notes,
    )


def step_weights(table: OperationTable, passes: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how often each operation of the table runs in a step: once a micro-batch, the optimizer's once."""
    return np.where(table.phase.mask("optimizer"), 1.0, float(passes))


def _phase_sums(table: OperationTable, breakdown: TimeBreakdown, passes: int) -> dict[str, Range]:
    weighted = breakdown.device_s * step_weights(table, passes)
    return {phase: _range(weighted[:, table.phase.mask(phase)].sum(axis=1)) for phase in PHASES}


def _range(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Range:
    low, mid, high = values.tolist()
    return Range(low, mid, high)


def _buckets(
    breakdown: TimeBreakdown,
    weights: np.ndarray[tuple[int], np.dtype[np.float64]],
    streams: tuple[float, float, float, float],
) -> dict[str, float]:
    """Middle seconds by what binds; `streams`: device, device beside host, adding gradients, exposed all-reduce."""
    device, together, adding, exposed = streams
    sums = np.bincount(breakdown.bound, weights=breakdown.device_s[1] * weights, minlength=len(BOUNDS))
    sums[MEMORY] += adding
    buckets = dict(zip(BOUNDS, sums.tolist(), strict=True))
    buckets["launch"] += together - device
    return buckets | {"network": exposed}
