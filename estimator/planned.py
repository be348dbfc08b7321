"""A run that is split as was asked for, or as `flopcast plan` finds best, in the terms of an estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from estimator.memory import MemoryNeed, Replica, overhead_of
from estimator.parallel.costs import Setting
from estimator.parallel.ranks import Ranks
from estimator.parallel.stack import own_stack
from estimator.parallel.step import ParallelStep, parallel_step
from estimator.ranges import Range
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.answer import Answer, Cluster
    from estimator.parallel.asked import AskedSplit
    from estimator.parallel.stage_memory import StageMemory
    from estimator.plan import Plan
    from estimator.run import TrainingRun
    from estimator.workload import Workload
    from hardware_db import Device


CLEARLY: Final = 1.05
"""A split that saves less is not worth other software."""

MOST_DOUBLINGS: Final = 7
"""Micro-batches up to 64 are tried."""


def planned(work: Workload, cluster: Cluster, found: Answer) -> Answer | None:
    """Return the fastest split that fits, run by the software that is usual for it; None where none fits.

    Raises
    ------
    UsageError
        a link that is needed is unknown
    """
    from estimator.plan import Job, search
    from estimator.plan.job import stack_for

    run, part = work.run, cluster.device.logical_device()
    profile = run.profile.at(sequence_length=run.sequence_length)
    devices = cluster.count * cluster.device.logical_devices
    if _least_bytes(work) / devices > (part.usable_memory_bytes or 0):
        return None
    job = Job(profile, part, cluster.fabric, stack_for(profile, part), devices, run.global_batch_size)
    best = search(job).best
    return (
        None
        if best is None
        else replace(_as_answer(best.step, part, found), group=Ranks(best.split, cluster.fabric).sharers)
    )


def faster_split(run: TrainingRun, found: Answer) -> Plan | None:
    """Return the plan that `flopcast plan` finds for a run whose states are divided, where it is clearly faster.

    None where it is not, where copies of the model fit, and where links are unknown.
    """
    from estimator.plan import Job, search
    from estimator.plan.job import stack_for

    if found.fabric is None or found.step is None or found.count == 1:
        return None
    part, profile = found.device.logical_device(), run.profile.at(sequence_length=run.sequence_length)
    devices = found.count * found.device.logical_devices
    try:
        job = Job(profile, part, found.fabric, stack_for(profile, part), devices, run.global_batch_size)
        best = search(job).best
    except UsageError:
        return None
    return best if best is not None and best.seconds * CLEARLY < found.step.total.mid else None


def _least_bytes(work: Workload) -> int:
    """Bytes of parameters and optimizer states, which all devices together must hold whatever the split."""
    memory = work.run.profile.memory
    return memory.parameter_bytes + memory.optimizer_state_bytes


def as_asked(work: Workload, cluster: Cluster, found: Answer, asked: AskedSplit) -> Answer:
    """Return the run split as was asked for, with the fastest micro-batch that fits, or the smallest where none does.

    Raises
    ------
    UsageError
        the split divides neither the model, the batch nor the devices, or a link that is needed is unknown
    """
    from estimator.plan.job import stack_for

    part = cluster.device.logical_device()
    split = asked.on(cluster.count * cluster.device.logical_devices)
    layers = split.model_devices > 1 or split.expert_parallel > 1
    stack = stack_for(work.at(1), part) if layers else own_stack(part, work.run.compiled)
    setting = Setting(part, cluster.fabric, stack, work.settings_on(part).memory_format)
    share = work.samples_each(split.data_parallel)
    given = work.run.micro_batch_size or asked.value("micro_batch_size")
    sizes = [int(str(given))] if given else [2**power for power in range(MOST_DOUBLINGS) if share % 2**power == 0]
    steps = [parallel_step(work.at(size), split, setting, split.micro_batches(share * split.data_parallel, size))
             for size in sizes]  # fmt: skip
    fitting = [step for step in steps if step.peak_memory_bytes <= (found.capacity_bytes or float("inf"))]
    step = min(fitting, key=lambda step: step.total.mid) if fitting else steps[0]
    return replace(_as_answer(step, part, found), group=Ranks(split, cluster.fabric).sharers)


def _as_answer(step: ParallelStep, part: Device, found: Answer) -> Answer:
    split = step.split
    replica = Replica(
        step.micro_batch_size,
        step.micro_batches > 1,
        split.data_parallel,
        split.zero_stage,
        split.activation_checkpointing,
    )
    fullest = max(step.memory, key=lambda stage: stage.total_bytes)
    need = need_of_stage(fullest, part).on(found.capacity_bytes)
    return replace(found, replica=replica, accumulation=step.micro_batches, need=need, step=step)


def need_of_stage(stage: StageMemory, device: Device) -> MemoryNeed:
    """Return what a device of a pipeline stage must hold as `estimator.memory` says it.

    The allocator's excess and the context have their ranges; tensors are taken as they were worked out.
    """
    over = overhead_of(device)
    held = stage.total_bytes - stage.overhead_bytes
    reserve = over.reserve_share * held
    context = over.context_bytes + over.communicator_bytes
    return MemoryNeed(
        parameter_bytes=stage.parameter_bytes,
        gradient_bytes=stage.gradient_bytes,
        optimizer_state_bytes=stage.optimizer_state_bytes,
        activation_bytes=stage.activation_bytes + stage.working_bytes,
        input_and_buffer_bytes=0,
        gathered_bytes=stage.gathered_bytes,
        copy_bytes=stage.copy_bytes,
        bucket_bytes=0,
        workspace_bytes=0,
        slack_bytes=0,
        reserve_bytes=round(reserve.mid),
        context_bytes=round(context.mid),
        host_bytes=0,
        allocated=Range.exactly(held),
        reserved=reserve + Range.exactly(held),
        total=reserve + context + Range.exactly(held),
        capacity_bytes=device.usable_memory_bytes,
        phase="backward",
        module="",
    )
