"""When every stage of a split step is done: its pipeline, its gradients, its optimizer.

Without a pipeline the host runs ahead over the whole step: device and host are two streams side by side. Between stages
it cannot run further ahead than one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from estimator.parallel.blocks import LAST
from estimator.parallel.collectives import message
from estimator.parallel.passes import SIDE_BY_SIDE_ORDER, ChunkTimes, chunk_times, shards_of
from estimator.parallel.pipeline import StageTimes, pipeline_s
from estimator.parallel.sync import Load, adding_s, optimizer_s, sync_of
from estimator.timing import side_by_side

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.prepared import Prepared
    from estimator.parallel.values import Triple


@dataclass(frozen=True, eq=False)
class StageEnds:
    """Seconds of one stage, (3,) each: device and host streams, the pipeline's end, what follows, and the whole."""

    busy: Triple
    host: Triple
    finish: Triple
    exposed: Triple
    sent: Triple
    adding: Triple
    optimizer: Triple
    end: Triple


def stage_ends(plan: Prepared, middle: bool = False) -> list[StageEnds]:
    """Return every stage from its first pass to the end of its optimizer's step.

    `middle`: only the middle of three values is asked for, the others may be anything.
    """
    times = _chunk_times(plan)
    forward, backward = times.both
    finish = None
    if plan.split.pipeline_parallel > 1:
        events = _events(plan, forward, backward)
        finish = pipeline_s(events.middle if middle else events, plan.micro_batches, plan.split.schedule)
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
        found.append(StageEnds(busy, host, together - after, exposed, sent, adding, optimizer, together + exposed))
    return found


def _events(plan: Prepared, forward: Floats, backward: Floats) -> StageTimes:
    """Times of the events of a pipeline; only zero bubble sets the gradients of weights apart."""
    split = plan.split
    weights = np.zeros_like(backward)
    if split.schedule == "zero_bubble":
        parts = [plan.costs.weights[:, plan.owners == chunk].sum(axis=1) for chunk in range(split.chunks)]
        weights = np.minimum(np.stack(parts).reshape(backward.shape), backward)
    return StageTimes(forward, backward - weights, weights, message(plan.ranks.stages).at(_boundary_bytes(plan)))


def _boundary_bytes(plan: Prepared) -> float:
    """Bytes between two stages: features of the tokens, each device of a tensor-parallel group sending its part."""
    spread = 1 if plan.split.sequence_parallel else plan.split.tensor_parallel
    return float(plan.kept.inputs[1:LAST].max(initial=0.0)) / spread


def _load(plan: Prepared, stage: int) -> Load:
    """Trained parameters of one device of a stage."""
    mine = plan.owned(stage)
    dense = float(plan.weights.dense_of(plan.split)[mine].sum() * plan.weights.trained)
    experts = float(plan.weights.experts_of(plan.split)[mine].sum() * plan.weights.trained)
    return Load(dense, experts, plan.profile.trainable_parameters)


def _sync(plan: Prepared, load: Load, forward: Floats, backward: Floats) -> tuple[Triple, Triple]:
    """Seconds after the last backward pass of a stage: exposed and whole collectives of gradients."""
    windows = backward.sum(axis=0), forward.sum(axis=0)
    return sync_of(load, plan.each, plan.ranks, plan.setting, windows)


def _chunk_times(plan: Prepared) -> ChunkTimes:
    """Seconds of a micro-batch on each chunk of each stage."""
    split, shards = plan.split, None
    if split.zero_stage == 3:
        loads = plan.weights.dense_of(split), plan.weights.experts_of(split)
        shards = shards_of(loads, (plan.each.weight, plan.each.wire), plan.ranks, plan.setting.stolen)
    return chunk_times(plan.passes, plan.owners, split, shards)
