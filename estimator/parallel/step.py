"""Time and memory of one training step split over many devices.

step = (latest stage: pipeline of micro-batches + exposed gradient collectives + optimizer) * stragglers
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.adjust import range_of
from estimator.parallel.breakdown import COMMUNICATION, buckets_of, parts_of
from estimator.parallel.lateness import late_share
from estimator.parallel.prepared import Prepared, prepare
from estimator.parallel.stage_ends import stage_ends
from estimator.parallel.stage_memory import StageMemory, memory_of
from estimator.parallel.values import as_range
from estimator.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from estimator.parallel.costs import Setting
    from estimator.parallel.parallelism import Parallelism
    from estimator.timing import Basis
    from profiles.model_profile import ModelProfile

DATA: Final = "data"
"""Part of a step in which its data are waited for."""


@dataclass(frozen=True, slots=True)
class ParallelStep:
    """One training step on many devices.

    Attributes
    ----------
    split
        how it is split
    micro_batch_size, micro_batches
        samples that a replica puts through at a time, and how often in a step
    total
        seconds of the step
    parts
        seconds of the slowest stage by what they go to: forward, backward, recomputation, tensor parallel, expert
        parallel, context parallel, parameter gathering, host, bubble, gradients, accumulation (adding gradients of
        micro-batches up), optimizer, stragglers, data (waiting for it)
    device, host, sent
        seconds of the slowest stage: its own stream of operations and collectives, the host's, and all collectives of
        gradients, hidden or not
    buckets
        middle seconds by what binds: compute, memory, launch, network, waiting, data
    memory
        bytes a device of each stage holds
    chunk_layers
        layers of each chunk of the pipeline in the order of execution; of one stage all of them
    mfu
        FLOPs of the model's products, without recomputation, over what all devices could do at their peak in that time
        (Chowdhery et al., 2022, "PaLM", appendix B)
    basis, notes
        where the efficiencies come from, and what the reader should know
    """

    split: Parallelism
    micro_batch_size: int
    micro_batches: int
    total: Range
    parts: Mapping[str, Range]
    device: Range
    host: Range
    sent: Range
    buckets: Mapping[str, float]
    memory: tuple[StageMemory, ...]
    chunk_layers: tuple[int, ...]
    mfu: float
    basis: Basis
    notes: tuple[str, ...]

    @property
    def communication_s(self) -> float:
        """Middle seconds of the slowest stage that wait for other devices and that no computing hides."""
        return sum(self.parts[name].mid for name in COMMUNICATION if name in self.parts)

    @property
    def peak_memory_bytes(self) -> int:
        """Bytes that a device of the fullest stage holds."""
        return max(stage.total_bytes for stage in self.memory)

    @property
    def stage_layers(self) -> tuple[int, ...]:
        """Layers of each pipeline stage, those of all its chunks together."""
        stages = self.split.pipeline_parallel
        return tuple(sum(self.chunk_layers[stage::stages]) for stage in range(stages))

    @property
    def forward(self) -> Range:
        """Seconds of the forward passes, computing alone."""
        return self.parts["forward"]

    @property
    def backward(self) -> Range:
        """Seconds of the backward passes, computing alone, without what is computed again."""
        return self.parts["backward"]

    @property
    def optimizer(self) -> Range:
        """Seconds of the optimizer."""
        return self.parts["optimizer"]

    @property
    def exposed(self) -> Range:
        """Seconds of the gradients' collectives that no computing hides."""
        return self.parts["gradients"]

    @property
    def bound(self) -> str:
        """What takes most of the step: compute, memory, launch, network, waiting or data."""
        return max(self.buckets, key=self.buckets.__getitem__)

    def fed(self, data_s: float) -> ParallelStep:
        """Return the step where its data take `data_s` seconds to come, beside the step before."""
        waiting = max(0.0, data_s - self.total.mid)
        if not waiting:
            return self
        return replace(
            self,
            total=self.total.or_longer(Range.exactly(data_s)),
            parts={**self.parts, DATA: Range.exactly(waiting)},
            buckets={**self.buckets, DATA: waiting},
            mfu=self.mfu * self.total.mid / data_s,
        )


def parallel_step(profile: ModelProfile, split: Parallelism, setting: Setting, micro_batches: int) -> ParallelStep:
    """Return time and memory of a step of `micro_batches` micro-batches of the profile's batch on each replica.

    Raises
    ------
    UsageError
        the split does not divide the model, or a link is unknown
    UnknownPrecision
        the device has no peak for a precision of the profile
    """
    plan = prepare(profile, split, setting, micro_batches)
    stages = stage_ends(plan)
    slowest = int(np.argmax([stage.end[1] for stage in stages]))
    mine = stages[slowest]
    late, ends = late_share(split.devices, setting), np.max([stage.end for stage in stages], axis=0)
    total = ends * (1 + late)
    parts = parts_of(plan, slowest, mine) | {"stragglers": ends * late}
    shown = {name: as_range(np.maximum(seconds, 0.0)) for name, seconds in parts.items()}
    return ParallelStep(
        split=split,
        micro_batch_size=profile.batch_size,
        micro_batches=micro_batches,
        total=as_range(range_of(setting.stack, setting.device.kind, total)),
        parts=shown,
        device=as_range(mine.busy),
        host=as_range(mine.host),
        sent=as_range(mine.sent),
        buckets=buckets_of(plan, slowest, shown),
        memory=tuple(memory_of(plan, stage) for stage in range(split.pipeline_parallel)),
        chunk_layers=tuple(np.bincount(plan.owners[1:-1], minlength=split.chunks).tolist()),
        mfu=_flops_at_peak_s(plan) / float(total[1]),
        basis=plan.costs.basis,
        notes=plan.costs.notes,
    )


def step_s(profile: ModelProfile, split: Parallelism, setting: Setting, micro_batches: int) -> float:
    """Return the middle seconds of a step alone, a few times as fast as `parallel_step`.

    Raises
    ------
    UsageError
        the split does not divide the model, or a link is unknown
    """
    plan = prepare(profile, split, setting, micro_batches)
    latest = max(float(stage.end[1]) for stage in stage_ends(plan, middle=True))
    return latest * (1 + float(late_share(split.devices, setting)[1]))


def _flops_at_peak_s(plan: Prepared) -> float:
    """Seconds in which all devices would do the model's products of a step at their peak."""
    products = plan.profile.model_flops
    flops = (products.forward + products.backward) * plan.micro_batches * plan.split.data_parallel
    peak: float = plan.setting.device.peak_flops_per_s(plan.profile.precision)
    return flops / (peak * plan.split.devices)
