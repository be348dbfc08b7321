"""What one run takes on one cluster, whoever rents it out: replica, memory, step; or why there is no answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from estimator.memory import MemoryNeed, Overhead, Replica, overhead_of, remedies, shortage
from estimator.parallel.step import ParallelStep
from estimator.planned import as_asked, planned
from estimator.ranges import Range
from estimator.step import step_time
from estimator.workload import Workload
from hardware_db.errors import UnknownPrecision, UsageError

if TYPE_CHECKING:
    from estimator.parallel.asked import AskedSplit
    from estimator.parallel.network import Group, Network
    from hardware_db import Database, Device

WhyNotKind = Literal["training", "precision", "batch", "memory", "figures", "link", "interruptions"]


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a row has no time: the kind, to group by, and the sentence."""

    kind: WhyNotKind
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One run on `count` devices; `step` is None exactly where `why_not` says why.

    `group` is what joins the replicas that sum their gradients; `fabric` what joins all devices, where the states of a
    replica are divided over them.
    """

    device: Device
    count: int
    capacity_bytes: int | None = None
    replica: Replica | None = None
    accumulation: int | None = None
    need: MemoryNeed | None = None
    group: Group | None = None
    fabric: Network | None = None
    step: ParallelStep | None = None
    why_not: WhyNot | None = None

    @property
    def fits(self) -> bool | None:
        """Whether the device's memory suffices; None where the capacity or the need is unknown."""
        if self.need is None or self.capacity_bytes is None:
            return None
        return self.need.total_bytes <= self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Cluster:
    """Devices and what joins them; `splits`: whether to search a split of the layers where nothing else fits."""

    device: Device
    count: int
    fabric: Network
    splits: bool = True


def answer(work: Workload, database: Database, cluster: Cluster) -> Answer:
    """Work out one run on a cluster; a package of two dies is two devices to the framework and runs two replicas.

    Copies of the whole model where they fit; else states are divided over all replicas (ZeRO, FSDP), the fastest way
    of those that fit.

    Raises
    ------
    UsageError
        the batch does not divide over the devices, or a split that was asked for does not divide model or devices
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
    if work.run.split is not None:
        return _as_asked(work, cluster, found, work.run.split)
    overhead = overhead_of(part)
    replica = work.replica(count * device.logical_devices, overhead, found.capacity_bytes)
    found = _held(work, replica, overhead, found)
    if found.fits is False:
        return _sharded(work, database, cluster, found)
    return _timed(work, cluster, found)


def _as_asked(work: Workload, cluster: Cluster, found: Answer, asked: AskedSplit) -> Answer:
    if cluster.device.logical_device().memory_bandwidth_bytes_per_s is None:
        return replace(found, why_not=WhyNot("figures", f"no memory bandwidth of {cluster.device.id} is known"))
    known = as_asked(work, cluster, found, asked)
    if known.fits is not False:
        return _finished(work, cluster, known)
    assert known.need is not None and known.capacity_bytes is not None
    text = shortage(known.need, cluster.device.id, known.capacity_bytes)
    ways = f"split as asked, {asked}. What fits: flopcast plan --hardware {cluster.device.id} --count {cluster.count}"
    return replace(known, step=None, why_not=WhyNot("memory", f"{text}\n{ways}"))


def _held(work: Workload, replica: Replica, overhead: Overhead, found: Answer) -> Answer:
    need = work.need(replica, overhead).on(found.capacity_bytes)
    return replace(found, replica=replica, accumulation=work.accumulation(replica), need=need)


def _sharded(work: Workload, database: Database, cluster: Cluster, found: Answer) -> Answer:
    """Return the fastest way in which divided states fit; where none does, a split of the layers, or what would fit."""
    assert found.need is not None and found.replica is not None and found.capacity_bytes is not None
    overhead = overhead_of(cluster.device.logical_device())
    choices = work.sharded(found.replica.replicas, overhead, found.capacity_bytes)
    answers = [_timed(work, cluster, _held(work, each, overhead, found)) for each in choices]
    if answers:
        fastest = min(answers, key=lambda each: each.step.total.mid if each.step else float("inf"))
        return replace(fastest, fabric=cluster.fabric)
    split = _split(work, cluster, found)
    if split is not None:
        return split
    text = shortage(found.need, cluster.device.id, found.capacity_bytes)
    ways = remedies(found.need, found.capacity_bytes, work.rentable(database), work.enough(cluster.device))
    if cluster.count > 1 and not cluster.splits:
        ways += f" · a split of the layers (flopcast plan --hardware {cluster.device.id} --count {cluster.count})"
    return replace(found, why_not=WhyNot("memory", f"{text}\n{ways}"))


def _split(work: Workload, cluster: Cluster, found: Answer) -> Answer | None:
    if cluster.count == 1 or not cluster.splits:
        return None
    try:
        best = planned(work, cluster, found)
    except UsageError:
        return None
    return None if best is None else _finished(work, cluster, best)


def _timed(work: Workload, cluster: Cluster, found: Answer) -> Answer:
    assert found.replica is not None
    part, replica = cluster.device.logical_device(), found.replica
    if part.memory_bandwidth_bytes_per_s is None:
        return replace(found, why_not=WhyNot("figures", f"no memory bandwidth of {cluster.device.id} is known"))
    try:
        found = replace(found, group=cluster.fabric.group(replica.replicas, 1))
        step = step_time(work, part, cluster.fabric, replica)
    except UnknownPrecision as error:
        return replace(found, why_not=WhyNot("precision", str(error)))
    except UsageError as error:
        return replace(found, why_not=WhyNot("link", f"link unknown: {error}"))
    return _finished(work, cluster, replace(found, step=step))


def _finished(work: Workload, cluster: Cluster, found: Answer) -> Answer:
    """Add what is known of the network, and take a utilisation that was given in place of the step's."""
    assert found.step is not None and found.replica is not None
    step = found.step
    if cluster.count > cluster.fabric.joined and cluster.fabric.note:
        step = replace(step, notes=(*step.notes, cluster.fabric.note))
    if work.run.mfu is not None:
        seconds = work.step_flops("model_flops", found.replica) / (work.run.mfu * peak_of_all(work, found))
        step = replace(step, total=Range.exactly(seconds), basis="given")
    return replace(found, step=step)


def peak_of_all(work: Workload, found: Answer) -> float:
    """Return the dense peak of all devices together in FLOP/s, in the run's precision."""
    return found.count * found.device.peak_flops_per_s(work.run.precision)
