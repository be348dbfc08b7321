"""Time and memory of one training step split over many devices.

    step = (latest stage: pipeline of micro-batches + exposed gradient collectives + optimizer) * stragglers

The slowest of many hosts decides: with independent delays of standard deviation s the expected largest of n is
s sqrt(2 ln n) above the mean (order statistics of a normal distribution).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.adjust import range_of
from estimator.parallel.blocks import LAST
from estimator.parallel.collectives import message
from estimator.parallel.costs import PartCosts, Setting, part_costs
from estimator.parallel.layout import layout_of
from estimator.parallel.memory import (
    HALF,
    BytesPerParameter,
    Kept,
    StageMemory,
    StageUse,
    kept_of,
    layers_of,
    stage_memory,
)
from estimator.parallel.passes import Passes, chunk_times, passes_of, shards_of
from estimator.parallel.pipeline import StageTimes, in_flight, pipeline_s
from estimator.parallel.ranks import Ranks
from estimator.parallel.sharding import check_split, sharded_table
from estimator.parallel.stages import Owners, chunks_of
from estimator.parallel.sync import Load, optimizer_s, sync_of
from estimator.parallel.values import Triple, as_range, triple
from estimator.parallel.weights import Weights, weights_of

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Parallelism
    from estimator.ranges import Range
    from estimator.timing import Basis
    from profiles.model_profile import ModelProfile

STRAGGLER: Final = triple(0.0, 0.007, 0.014)
"""Standard deviation of the time of a step between hosts: 1.4 % in a published simulator fitted to measured runs
(github.com/zhebrak/llm-cluster-simulator, docs/PHYSICS.md), half of it as the middle."""


COMMUNICATION: Final = ("tensor parallel", "expert parallel", "context parallel", "parameter gathering", "gradients")
"""Parts of a step that are exposed collectives."""


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
        parallel, context parallel, host, parameter gathering, bubble, gradients, optimizer, stragglers
    memory
        bytes a device of each stage holds
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
    memory: tuple[StageMemory, ...]
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
    def bound(self) -> str:
        """What takes most of the step."""
        return max(self.parts, key=lambda name: self.parts[name].mid)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What one step computes with, put together once."""

    profile: ModelProfile
    split: Parallelism
    setting: Setting
    micro_batches: int
    costs: PartCosts
    passes: Passes
    kept: Kept
    weights: Weights
    each: BytesPerParameter
    owners: Owners
    ranks: Ranks

    @property
    def wire_bytes(self) -> float:
        """Bytes of a gradient in collectives."""
        return self.setting.stack.wire_gradient_bytes if self.each.weight == HALF else self.each.weight


def parallel_step(profile: ModelProfile, split: Parallelism, setting: Setting, micro_batches: int) -> ParallelStep:
    """Return time and memory of a step of `micro_batches` micro-batches of the profile's batch on each replica.

    Raises
    ------
    UsageError
        the split does not divide the model, or a link is unknown
    UnknownPrecision
        the device has no peak for a precision of the profile
    """
    plan = _prepare(profile, split, setting, micro_batches)
    stages = range(split.pipeline_parallel)
    forward, backward = _stage_times(plan)
    finish = pipeline_s(_events(plan, forward, backward), micro_batches, split.schedule)
    tails = [_tail(plan, stage, forward[stage], backward[stage]) for stage in stages]
    ends = np.stack([finish[stage] + tails[stage][0] + tails[stage][2] for stage in stages])
    slowest = int(ends[:, 1].argmax())
    late = STRAGGLER * math.sqrt(2 * math.log(max(1.0, split.devices / setting.network.nodes_of)))
    total = ends.max(axis=0) * (1 + late)
    busy = micro_batches * (forward[slowest] + backward[slowest]).sum(axis=0)
    parts = _parts(plan, slowest, busy) | {
        "bubble": finish[slowest] - busy,
        "gradients": tails[slowest][0],
        "optimizer": tails[slowest][2],
        "stragglers": ends.max(axis=0) * late,
    }
    return ParallelStep(
        split=split,
        micro_batch_size=profile.batch_size,
        micro_batches=micro_batches,
        total=as_range(range_of(setting.stack, total)),
        parts={name: as_range(np.maximum(seconds, 0.0)) for name, seconds in parts.items()},
        memory=tuple(_memory(plan, stage) for stage in stages),
        mfu=_flops_at_peak_s(plan) / float(total[1]),
        basis=plan.costs.basis,
        notes=plan.costs.notes,
    )


def _flops_at_peak_s(plan: _Plan) -> float:
    """Seconds in which all devices would do the model's products of a step at their peak."""
    products = plan.profile.model_flops
    flops = (products.forward + products.backward) * plan.micro_batches * plan.split.data_parallel
    peak: float = plan.setting.device.peak_flops_per_s(plan.profile.precision)
    return flops / (peak * plan.split.devices)


def _prepare(profile: ModelProfile, split: Parallelism, setting: Setting, micro_batches: int) -> _Plan:
    layout = layout_of(profile)
    check_split(profile, layout, split)
    costs, kept = pass_of_one(profile, split.inside, setting)
    passes = passes_of(costs, split, layers_of(layout))
    return _Plan(
        profile=profile,
        split=split,
        setting=setting,
        micro_batches=micro_batches,
        costs=costs,
        passes=passes,
        kept=kept,
        weights=weights_of(profile),
        each=BytesPerParameter.of(profile, split, setting.stack),
        owners=chunks_of(layout.blocks, (passes.forward + passes.backward)[1], split),
        ranks=Ranks(split, setting.network),
    )


@lru_cache(maxsize=2048)
def pass_of_one(profile: ModelProfile, inside: Parallelism, setting: Setting) -> tuple[PartCosts, Kept]:
    """Return what a micro-batch costs and leaves on one device; `inside` is the split of its layers alone."""
    return part_costs(profile, inside, setting), kept_of(profile, sharded_table(profile, inside), inside, setting)


def _stage_times(plan: _Plan) -> tuple[Floats, Floats]:
    """Seconds of a micro-batch on each chunk of each stage, (stages, chunks, 3): forward and backward."""
    split, shards = plan.split, None
    if split.zero_stage == 3:
        loads = plan.weights.dense_of(split), plan.weights.experts_of(split)
        shards = shards_of(loads, (plan.each.weight, plan.wire_bytes), plan.ranks)
    forward, backward = chunk_times(plan.passes, plan.owners, split.chunks, shards)
    shape = (split.virtual_pipeline, split.pipeline_parallel, 3)
    return forward.reshape(shape).swapaxes(0, 1), backward.reshape(shape).swapaxes(0, 1)


def _events(plan: _Plan, forward: Floats, backward: Floats) -> StageTimes:
    """Times of the events of a pipeline; only zero bubble sets the gradients of weights apart."""
    split = plan.split
    weights = np.zeros_like(backward)
    if split.schedule == "zero_bubble":
        parts = [plan.costs.weights[:, plan.owners == chunk].sum(axis=1) for chunk in range(split.chunks)]
        weights = np.minimum(np.stack(parts).reshape(backward.shape), backward)
    return StageTimes(forward, backward - weights, weights, message(plan.ranks.stages).at(_boundary_bytes(plan)))


def _boundary_bytes(plan: _Plan) -> float:
    """Bytes between two stages: features of the tokens, each device of a tensor-parallel group sending its part."""
    spread = 1 if plan.split.sequence_parallel else plan.split.tensor_parallel
    return float(plan.kept.inputs[1:LAST].max(initial=0.0)) / spread


def _tail(plan: _Plan, stage: int, forward: Floats, backward: Floats) -> tuple[Triple, Triple, Triple]:
    """Seconds after the last backward pass of a stage: exposed and whole collectives, optimizer."""
    mine = plan.owners % plan.split.pipeline_parallel == stage
    dense = float(plan.weights.dense_of(plan.split)[mine].sum() * plan.weights.trained)
    experts = float(plan.weights.experts_of(plan.split)[mine].sum() * plan.weights.trained)
    load = Load(dense, experts, plan.profile.trainable_parameters)
    windows = backward.sum(axis=0), forward.sum(axis=0)
    exposed, sent = sync_of(load, plan.each, plan.ranks, plan.setting, windows)
    return exposed, sent, optimizer_s(load, plan.each, plan.costs, plan.split, plan.setting)


def _parts(plan: _Plan, stage: int, busy: Triple) -> dict[str, Triple]:
    """Seconds of a stage's passes by what they go to; what gathering or the host add comes last."""
    costs, mine = plan.costs, plan.owners % plan.split.pipeline_parallel == stage

    def seconds(*values: Floats) -> Triple:
        total: Triple = plan.micro_batches * np.add.reduce([each[:, mine].sum(axis=1) for each in values])
        return total

    parts = {
        "forward": seconds(costs.forward),
        "backward": seconds(costs.backward),
        "recomputation": seconds(plan.passes.again),
        "tensor parallel": seconds(costs.tensor_forward, costs.tensor_backward),
        "expert parallel": seconds(costs.expert_forward, costs.expert_backward),
        "context parallel": seconds(costs.context_forward, costs.context_backward),
    }
    rest = "parameter gathering" if plan.split.zero_stage == 3 else "host"
    return parts | {rest: busy - np.add.reduce(list(parts.values()))}


def _memory(plan: _Plan, stage: int) -> StageMemory:
    split, owners = plan.split, plan.owners
    mine = (owners % split.pipeline_parallel == stage).astype(np.float64)
    sizes = (split.pipeline_parallel, split.virtual_pipeline, plan.micro_batches)
    passes = plan.micro_batches * split.virtual_pipeline if split.schedule == "gpipe" else in_flight(sizes, stage)
    full = split.activation_checkpointing == "full"
    kept = plan.kept.inputs if full else plan.kept.whole
    once = float((plan.kept.whole * mine)[1:LAST].max(initial=0.0)) if full else 0.0
    working = plan.kept.working if mine[LAST] else 0.0
    loads = plan.weights.dense_of(split) + plan.weights.experts_of(split)
    gathered = float(np.sort(loads[1:LAST])[-2:].sum() + loads[0] + loads[LAST])
    use = StageUse(mine, kept, passes / split.virtual_pipeline, max(once, working), gathered)
    return stage_memory(plan.profile, split, plan.setting, use)
