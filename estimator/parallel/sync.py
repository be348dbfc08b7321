"""What follows the backward pass: gradients to the other replicas, the optimizer, parameters back.

DDP sums gradients in buckets while the backward pass runs; the last bucket has nothing left to hide behind (Li et al.,
2020). ZeRO scatters the sums, updates each shard once, and gathers the new parameters while the next forward pass
starts (Rajbhandari et al., 2020; Megatron-LM's distributed optimizer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.collectives import all_gather, all_reduce_s
from estimator.parallel.values import Triple, triple
from estimator.timing import streaming
from estimator.timing.parameters import parameters_of

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.costs import PartCosts, Setting
    from estimator.parallel.memory import BytesPerParameter
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.ranks import Ranks
    from hardware_db import Device

DDP_BUCKET_BYTES: Final = 25 * 1024**2
"""Gradients are sent in buckets of 25 MiB; the last is ready only when the backward pass ends
(torch.nn.parallel.DistributedDataParallel, bucket_cap_mb)."""

GRADIENTS_FROM: Final = 2
"""ZeRO stage from which on gradients are divided."""


@dataclass(frozen=True, eq=False)
class Sync:
    """Seconds after the last backward pass of a stage: exposed collectives, the whole of them, and the optimizer."""

    exposed: Triple
    sent: Triple
    optimizer: Triple


@dataclass(frozen=True, slots=True)
class Load:
    """Parameters that one device of a stage works on: outside of experts, of experts, and of the whole model."""

    dense: float
    experts: float
    model: int


def sync_of(
    load: Load, each: BytesPerParameter, ranks: Ranks, setting: Setting, windows: tuple[Triple, Triple]
) -> tuple[Triple, Triple]:
    """Return the seconds of exposed and of all collectives that synchronise replicas after a step.

    `windows` are the seconds of the last backward pass and of the first forward pass, which can hide them.
    """
    split, stack = ranks.split, setting.stack
    wire = each.wire
    if split.zero_stage == 0:
        reduced = _reduce_s(load, wire, ranks)
        gathered = triple(0.0)
    else:
        reduced = _scatter_s(load, wire, ranks) if split.zero_stage < 3 else triple(0.0)
        reduced = reduced + all_reduce_s(load.dense * wire / split.shards, ranks.copies)
        gathered = _scatter_s(load, each.weight, ranks) if split.zero_stage < 3 else triple(0.0)
    sent = reduced + gathered
    if split.zero_stage not in stack.overlaps_gradients:
        return sent, sent
    bucket = min(1.0, DDP_BUCKET_BYTES / max(1.0, (load.dense + load.experts) * wire))
    stolen = setting.stolen
    exposed = _beside(reduced, bucket, windows[0], stolen) + _beside(gathered, bucket, windows[1], stolen)
    return exposed, sent


def _beside(sent: Triple, bucket: float, window: Triple, stolen: Triple) -> Triple:
    """Seconds that collectives beside a pass add: their last bucket or what is longer, and what the rest steals."""
    shown = np.maximum(sent * bucket, sent - window)
    seconds: Triple = shown + stolen * (sent - shown)
    return seconds


def _reduce_s(load: Load, wire: float, ranks: Ranks) -> Triple:
    seconds: Triple = all_reduce_s(load.dense * wire, ranks.sharers)
    return seconds + (all_reduce_s(load.experts * wire, ranks.expert_replicas) if load.experts else 0.0)


def _scatter_s(load: Load, wire: float, ranks: Ranks) -> Triple:
    seconds = all_gather(ranks.shards).at(load.dense * wire)
    return seconds + (all_gather(ranks.expert_replicas).at(load.experts * wire) if load.experts else 0.0)


def optimizer_s(load: Load, each: BytesPerParameter, costs: PartCosts, split: Parallelism, setting: Setting) -> Triple:
    """Return the seconds of the optimizer step on one device.

    A fused optimizer reads and writes state, weight and gradient once. Others take the profile's own operations for
    the share of the parameters; float32 states of weights recorded in 16 bits are twice the bytes.
    """
    shards = split.shards if split.zero_stage else 1
    own = load.dense / shards + load.experts / (min(split.expert_replicas, shards) if split.zero_stage else 1)
    if setting.stack.fused_optimizer:
        moved = own * (2 * each.optimizer + each.gradient + each.weight)
        return triple(*(moved / rate for rate in _rates(setting.device)))
    seconds: Triple = costs.optimizer * (own / max(load.model, 1)) * each.widened
    return seconds


def adding_s(load: Load, each: BytesPerParameter, split: Parallelism, setting: Setting) -> Triple:
    """Return the seconds to add one micro-batch's gradients to those kept: two are read, one is written.

    Nothing where products do it as they write their results (Megatron-LM, gradient accumulation fusion; XLA).
    """
    if setting.stack.fused_optimizer:
        return triple(0.0)
    held = (load.dense + load.experts) / (split.shards if split.zero_stage >= GRADIENTS_FROM else 1)
    spent = streaming(3 * held * each.gradient, setting.device)
    return triple(spent.low, spent.mid, spent.high)


def copies_of(parameters: Floats, each: BytesPerParameter, device: Device) -> tuple[Floats, Floats]:
    """Return the seconds, (3, parts), to copy gathered parameters out of a buffer, and gradients into one."""
    one = streaming(1.0, device)
    rate = triple(one.low, one.mid, one.high)[:, None]
    return 2 * each.weight * parameters * rate, (each.weight + each.wire) * parameters * rate


def _rates(device: Device) -> tuple[float, float, float]:
    share = parameters_of(device.kind)["optimizer_bandwidth"]
    bandwidth = device.memory_bandwidth_bytes_per_s or float("inf")
    return bandwidth * min(1.0, share * 1.2), bandwidth * share, bandwidth * share * 0.8
