"""What one run takes on one cluster, whoever rents it out: replica, memory, step; or why there is no answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from estimator.communication import Fabric, Link, Unlinked, ring_link
from estimator.memory import MemoryNeed, Replica, overhead_of, remedies, shortage
from estimator.ranges import Range
from estimator.step import StepTime, step_time
from estimator.workload import Workload
from hardware_db.errors import UnknownPrecision

if TYPE_CHECKING:
    from hardware_db import Database, Device

WhyNotKind = Literal["training", "precision", "batch", "memory", "figures", "link", "interruptions"]


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a row has no time: the kind, to group by, and the sentence."""

    kind: WhyNotKind
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One run on `count` devices joined by a fabric; `step` is None exactly where `why_not` says why."""

    device: Device
    count: int
    capacity_bytes: int | None = None
    replica: Replica | None = None
    accumulation: int | None = None
    need: MemoryNeed | None = None
    link: Link | None = None
    step: StepTime | None = None
    why_not: WhyNot | None = None

    @property
    def fits(self) -> bool | None:
        """Whether the device's memory suffices; None where the capacity or the need is unknown."""
        if self.need is None or self.capacity_bytes is None:
            return None
        return self.need.total_bytes <= self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Cluster:
    """Devices and what joins them."""

    device: Device
    count: int
    fabric: Fabric


def answer(work: Workload, database: Database, cluster: Cluster) -> Answer:
    """Work out one run on a cluster; a package of two dies is two devices to the framework and runs two replicas.

    Raises
    ------
    UsageError
        the batch does not divide over the devices
    """
    device, count = cluster.device, cluster.count
    part = device.logical_device()
    found = Answer(device, count, capacity_bytes=part.usable_memory_bytes)
    if device.use == "inference":
        return replace(found, why_not=WhyNot("training", f"{device.id} runs trained models only"))
    try:
        device.peak_flops_per_s(work.run.precision)
    except UnknownPrecision as error:
        return replace(found, why_not=WhyNot("precision", str(error)))
    overhead = overhead_of(part)
    replica = work.replica(count * device.logical_devices, overhead, found.capacity_bytes)
    need = work.need(replica, overhead).on(found.capacity_bytes)
    found = replace(found, replica=replica, accumulation=work.accumulation(replica), need=need)
    if found.fits is False and found.capacity_bytes is not None:
        rentable = work.rentable(database)
        text = shortage(need, device.id, found.capacity_bytes)
        return replace(found, why_not=WhyNot("memory", f"{text}\n{remedies(need, found.capacity_bytes, rentable)}"))
    if part.memory_bandwidth_bytes_per_s is None:
        return replace(found, why_not=WhyNot("figures", f"no memory bandwidth of {device.id} is known"))
    link = ring_link(cluster.fabric, replica.replicas)
    if isinstance(link, Unlinked):
        return replace(found, why_not=WhyNot("link", link.reason))
    return _timed(work, part, replica, replace(found, link=link))


def _timed(work: Workload, part: Device, replica: Replica, found: Answer) -> Answer:
    assert found.link is not None
    try:
        step = step_time(work, part, found.link, replica)
    except UnknownPrecision as error:
        return replace(found, why_not=WhyNot("precision", str(error)))
    if found.link.note:
        step = replace(step, notes=(*step.notes, found.link.note))
    if work.run.mfu is not None:
        seconds = work.step_flops("model_flops", replica) / (work.run.mfu * peak_of_all(work, found))
        step = replace(step, total=Range.exactly(seconds), basis="given")
    return replace(found, step=step)


def peak_of_all(work: Workload, found: Answer) -> float:
    """Return the dense peak of all devices together in FLOP/s, in the run's precision."""
    return found.count * found.device.peak_flops_per_s(work.run.precision)
