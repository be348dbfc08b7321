"""Time and memory of one training step split over many devices.

    step = (latest stage: pipeline of micro-batches + exposed gradient collectives + optimizer) * stragglers

Without a pipeline the host runs ahead over the whole step: device and host are two streams side by side. Between stages
it cannot run further ahead than one pass.

The slowest of many hosts decides: with independent delays of standard deviation s the expected largest of n is
s sqrt(2 ln n) above the mean (order statistics of a normal distribution).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.adjust import range_of
from estimator.parallel.blocks import LAST
from estimator.parallel.collectives import message
from estimator.parallel.costs import PartCosts, Setting, part_costs
from estimator.parallel.layout import layout_of
from estimator.parallel.memory import (
    BytesPerParameter,
    Kept,
    StageMemory,
    StageUse,
    computes_in_halves,
    kept_of,
    layers_of,
    stage_memory,
)
from estimator.parallel.passes import (
    SIDE_BY_SIDE_ORDER,
    ChunkTimes,
    Passes,
    chunk_times,
    passes_of,
    shards_of,
    with_copies,
)
from estimator.parallel.pipeline import StageTimes, in_flight, pipeline_s
from estimator.parallel.ranks import Ranks
from estimator.parallel.sharding import check_split
from estimator.parallel.stages import Owners, chunks_of
from estimator.parallel.sync import Load, adding_s, copies_of, optimizer_s, sync_of
from estimator.parallel.values import Triple, as_range, triple
from estimator.parallel.weights import Weights, weights_of
from estimator.timing import BOUNDS, side_by_side

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Parallelism
    from estimator.ranges import Range
    from estimator.timing import Basis
    from profiles.model_profile import ModelProfile

STRAGGLER: Final = triple(0.0, 0.007, 0.014)
"""Standard deviation of the time of a step between hosts: 1.4 % in a published simulator fitted to measured runs
(github.com/zhebrak/llm-cluster-simulator, docs/PHYSICS.md), half of it as the middle."""

BESIDE: Final = triple(0.0, 0.035, 0.05)
"""The same between processes of one host that run operation by operation: they share processors and power. From the
scaling of ResNet-50 on 2, 4 and 8 GPUs of a host (lambdal/deeplearning-benchmark), 96, 95 and 91 % where links cost
nothing."""


def late_share(devices: int, setting: Setting) -> Triple:
    """Return by which share of a step the slowest of all hosts, and of the processes of a host, comes late."""
    hosts = STRAGGLER * math.sqrt(2 * math.log(max(1.0, devices / setting.network.nodes_of)))
    if setting.stack.execution != "eager" or setting.device.kind == "cpu":
        return np.asarray(hosts)
    inside = BESIDE * math.sqrt(2 * math.log(max(1, min(devices, setting.network.nodes_of))))
    return np.asarray(hosts + inside)


COMMUNICATION: Final = ("tensor parallel", "expert parallel", "context parallel", "parameter gathering", "gradients")
"""Parts of a step that are exposed collectives."""

WAITING: Final = ("bubble", "stragglers")
"""Parts of a step in which a device waits for the schedule or for slower ones."""

BUCKETS: Final = (*BOUNDS, "network", "waiting")
"""What the time of a step is bound by."""


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
        micro-batches up), optimizer, stragglers
    device, host, sent
        seconds of the slowest stage: its own stream of operations and collectives, the host's, and all collectives of
        gradients, hidden or not
    buckets
        middle seconds by what binds: compute, memory, launch, network, waiting
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
    device: Range
    host: Range
    sent: Range
    buckets: Mapping[str, float]
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
        """What takes most of the step: compute, memory, launch, network or waiting."""
        return max(self.buckets, key=self.buckets.__getitem__)


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


@dataclass(frozen=True, eq=False)
class _Stage:
    """Seconds of one stage, (3,) each: device and host streams, the pipeline's end, what follows, and the whole."""

    busy: Triple
    host: Triple
    finish: Triple
    exposed: Triple
    sent: Triple
    adding: Triple
    optimizer: Triple
    end: Triple


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
    times = _chunk_times(plan)
    stages = _stages(plan, times)
    slowest = int(np.argmax([stage.end[1] for stage in stages]))
    mine = stages[slowest]
    late = late_share(split.devices, setting)
    ends = np.max([stage.end for stage in stages], axis=0)
    total = ends * (1 + late)
    parts = _parts(plan, slowest, mine) | {"stragglers": ends * late}
    shown = {name: as_range(np.maximum(seconds, 0.0)) for name, seconds in parts.items()}
    return ParallelStep(
        split=split,
        micro_batch_size=profile.batch_size,
        micro_batches=micro_batches,
        total=as_range(range_of(setting.stack, total)),
        parts=shown,
        device=as_range(mine.busy),
        host=as_range(mine.host),
        sent=as_range(mine.sent),
        buckets=_buckets(plan, slowest, shown, float(total[1])),
        memory=tuple(_memory(plan, stage) for stage in range(split.pipeline_parallel)),
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
    costs, kept = pass_of_one(profile, split, setting)
    passes, weights = passes_of(costs, split, layers_of(layout)), weights_of(profile)
    each = BytesPerParameter.of(profile, split, setting.stack)
    if split.zero_stage == 3 and split.shards > 1 and setting.stack.copies_shards:
        loads = weights.dense_of(split) + weights.experts_of(split)
        passes = with_copies(passes, copies_of(loads, each, setting.device), costs.host_operation)
    return _Plan(
        profile=profile,
        split=split,
        setting=setting,
        micro_batches=micro_batches,
        costs=costs,
        passes=passes,
        kept=kept,
        weights=weights,
        each=each,
        owners=chunks_of(layout.blocks, (passes.forward + passes.backward)[1], split),
        ranks=Ranks(split, setting.network),
    )


def pass_of_one(profile: ModelProfile, split: Parallelism, setting: Setting) -> tuple[PartCosts, Kept]:
    """Return what a micro-batch costs and leaves on one device."""
    inside = split.inside
    alike = replace(inside, zero_stage=0)
    if computes_in_halves(profile, inside, setting.stack) == computes_in_halves(profile, alike, setting.stack):
        inside = alike
    return _costs(profile, inside, setting), kept_of(profile, alike, setting.stack)


@lru_cache(maxsize=2048)
def _costs(profile: ModelProfile, inside: Parallelism, setting: Setting) -> PartCosts:
    return part_costs(profile, inside, setting)


def _chunk_times(plan: _Plan) -> ChunkTimes:
    """Seconds of a micro-batch on each chunk of each stage."""
    split, shards = plan.split, None
    if split.zero_stage == 3:
        loads = plan.weights.dense_of(split), plan.weights.experts_of(split)
        shards = shards_of(loads, (plan.each.weight, plan.each.wire), plan.ranks)
    return chunk_times(plan.passes, plan.owners, split, shards)


def _stages(plan: _Plan, times: ChunkTimes) -> list[_Stage]:
    """Every stage from its first pass to the end of its optimizer's step."""
    forward, backward = times.both
    alone = plan.split.pipeline_parallel == 1
    finish = None if alone else pipeline_s(_events(plan, forward, backward), plan.micro_batches, plan.split.schedule)
    found = []
    for at in range(plan.split.pipeline_parallel):
        load = _load(plan, at)
        exposed, sent = _sync(plan, load, forward[at], backward[at])
        optimizer = optimizer_s(load, plan.each, plan.costs, plan.split, plan.setting)
        adding = adding_s(load, plan.each, plan.split, plan.setting) * (plan.micro_batches - 1)
        after = adding + optimizer
        busy = plan.micro_batches * (times.forward[at] + times.backward[at]).sum(axis=0) + after
        issued = plan.micro_batches * (times.host_forward[at] + times.host_backward[at]).sum(axis=0)
        host = issued + plan.costs.host_optimizer
        together = side_by_side(busy, host, SIDE_BY_SIDE_ORDER)
        if finish is not None:
            together = finish[at] + side_by_side(after, plan.costs.host_optimizer, SIDE_BY_SIDE_ORDER)
        found.append(_Stage(busy, host, together - after, exposed, sent, adding, optimizer, together + exposed))
    return found


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


def _load(plan: _Plan, stage: int) -> Load:
    """Trained parameters of one device of a stage."""
    mine = plan.owners % plan.split.pipeline_parallel == stage
    dense = float(plan.weights.dense_of(plan.split)[mine].sum() * plan.weights.trained)
    experts = float(plan.weights.experts_of(plan.split)[mine].sum() * plan.weights.trained)
    return Load(dense, experts, plan.profile.trainable_parameters)


def _sync(plan: _Plan, load: Load, forward: Floats, backward: Floats) -> tuple[Triple, Triple]:
    """Seconds after the last backward pass of a stage: exposed and whole collectives of gradients."""
    windows = backward.sum(axis=0), forward.sum(axis=0)
    return sync_of(load, plan.each, plan.ranks, plan.setting, windows)


def _parts(plan: _Plan, stage: int, mine: _Stage) -> dict[str, Triple]:
    """Seconds of a stage by what they go to; what gathering, the host or the schedule add is the rest."""
    costs, owned = plan.costs, plan.owners % plan.split.pipeline_parallel == stage

    def seconds(*values: Floats) -> Triple:
        total: Triple = plan.micro_batches * np.add.reduce([each[:, owned].sum(axis=1) for each in values])
        return total

    parts = {
        "forward": seconds(costs.forward),
        "backward": seconds(costs.backward),
        "recomputation": seconds(plan.passes.again),
        "tensor parallel": seconds(costs.tensor_forward, costs.tensor_backward),
        "expert parallel": seconds(costs.expert_forward, costs.expert_backward),
        "context parallel": seconds(costs.context_forward, costs.context_backward),
    }
    passes = mine.busy - mine.optimizer - mine.adding
    parts["parameter gathering"] = passes - np.add.reduce(list(parts.values()))
    together = side_by_side(passes, mine.host, SIDE_BY_SIDE_ORDER) if plan.split.pipeline_parallel > 1 else mine.finish
    parts["host"] = together - passes
    parts["bubble"] = mine.finish - together
    return parts | {"gradients": mine.exposed, "accumulation": mine.adding, "optimizer": mine.optimizer}


def _buckets(plan: _Plan, stage: int, parts: Mapping[str, Range], total: float) -> dict[str, float]:
    """Middle seconds of a step by what binds; recomputation as the forward pass it repeats, the optimizer by memory."""
    owned = plan.owners % plan.split.pipeline_parallel == stage
    sums = dict(zip(BOUNDS, (plan.micro_batches * plan.costs.buckets[:, owned].sum(axis=1)).tolist(), strict=True))
    passes = sum(sums.values())
    again = parts["recomputation"].mid / passes if passes else 0.0
    found = {name: seconds * (1 + again) for name, seconds in sums.items()}
    found["memory"] += parts["accumulation"].mid + parts["optimizer"].mid
    found["launch"] += parts["host"].mid
    found["network"] = sum(parts[name].mid for name in COMMUNICATION)
    found["waiting"] = total - sum(found.values())
    return found


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
