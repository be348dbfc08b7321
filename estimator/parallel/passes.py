"""Forward and backward pass of one micro-batch over the parts of a model: computing, host, gathered parameters.

FSDP gathers the parameters of a layer while the layer before computes, and sends its gradients away while the next one
computes; a layer takes the longer of its computing and of what its neighbours send meanwhile (prefetching one layer:
docs.pytorch.org/docs/stable/fsdp.html, BACKWARD_PRE and forward prefetch). Full checkpointing runs the forward pass of
a layer, collectives included, once more before its backward pass (Chen et al., 2016; see `again`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.blocks import FIRST, LAST
from estimator.parallel.collectives import all_gather
from estimator.parallel.values import Triple
from estimator.timing import side_by_side

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.costs import PartCosts
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.ranks import Ranks
    from estimator.parallel.stages import Owners

SIDE_BY_SIDE_ORDER: Final = 6.0
"""How well host and device overlap, see `estimator.timing.side_by_side`."""


@dataclass(frozen=True, eq=False)
class Passes:
    """Seconds of one micro-batch, (3, parts): computing with exposed collectives, and the host's.

    `again` is what checkpointing computes again before the backward pass, part of `backward`.
    """

    forward: Floats
    backward: Floats
    again: Floats
    host_forward: Floats
    host_backward: Floats


@dataclass(frozen=True, eq=False)
class Shards:
    """Seconds to gather the parameters of each part and to send its gradients away, (3, parts); ZeRO stage 3 only.

    `stolen` is the share of the computing beside them that they slow down.
    """

    gather: Floats
    scatter: Floats
    stolen: Triple


def passes_of(costs: PartCosts, split: Parallelism, layers: Floats) -> Passes:
    """Put computing, exposed collectives and recomputation of each part together; `layers` is 1 for layers."""
    forward = costs.forward + costs.exposed_forward
    again = {"none": 0.0 * forward, "selective": costs.attention, "full": forward - costs.spared}[
        split.activation_checkpointing
    ]
    again = again * layers
    host_again = costs.host_forward * layers if split.activation_checkpointing == "full" else 0.0
    return Passes(
        forward=forward,
        backward=costs.backward + costs.exposed_backward + again,
        again=again,
        host_forward=costs.host_forward,
        host_backward=costs.host_backward + host_again,
    )


SHARD_OPERATIONS: Final = (3, 7)
"""Operations that the host issues around a layer's forward and backward pass: copy in, gather, copy out; again, and
copy in, scatter, accumulate, free (torch/distributed/fsdp/_fully_shard/_fsdp_collectives.py)."""


def with_copies(passes: Passes, copies: tuple[Floats, Floats], operation_s: Triple) -> Passes:
    """Add the copies of parameters and gradients, (3, parts), and what the host takes to issue all that, to passes."""
    parameters, gradients = copies
    once = operation_s[:, None] * (parameters[1] > 0)
    return replace(
        passes,
        forward=passes.forward + parameters,
        backward=passes.backward + parameters + gradients,
        host_forward=passes.host_forward + SHARD_OPERATIONS[0] * once,
        host_backward=passes.host_backward + SHARD_OPERATIONS[1] * once,
    )


def shards_of(weights: tuple[Floats, Floats], wire_bytes: tuple[float, float], ranks: Ranks, stolen: Triple) -> Shards:
    """Return the seconds of ZeRO's collectives for each part.

    `weights` are the parameters of each part outside of experts and of experts, `wire_bytes` those of one parameter
    and of one gradient.
    """
    dense, experts = weights
    lines = all_gather(ranks.shards), all_gather(ranks.expert_replicas)

    def seconds(each_bytes: float) -> Floats:
        found = [
            np.where(values > 0, line.latency_s[:, None] + line.s_per_byte[:, None] * values * each_bytes, 0.0)
            for line, values in zip(lines, (dense, experts), strict=True)
        ]
        total: Floats = found[0] + found[1]
        return total

    return Shards(seconds(wire_bytes[0]), seconds(wire_bytes[1]), stolen)


@dataclass(frozen=True, eq=False)
class ChunkTimes:
    """Seconds of a micro-batch on each chunk of each stage: (stages, chunks, 3), device and host apart."""

    forward: Floats
    backward: Floats
    host_forward: Floats
    host_backward: Floats

    @property
    def both(self) -> tuple[Floats, Floats]:
        """Forward and backward pass with device and host side by side."""
        return (
            side_by_side(self.forward, self.host_forward, SIDE_BY_SIDE_ORDER),
            side_by_side(self.backward, self.host_backward, SIDE_BY_SIDE_ORDER),
        )


def chunk_times(passes: Passes, owners: Owners, split: Parallelism, shards: Shards | None) -> ChunkTimes:
    """Return the seconds of the passes of each chunk."""
    member = (owners[:, None] == np.arange(split.chunks)).astype(np.float64)
    columns = {
        "forward": passes.forward @ member,
        "backward": passes.backward @ member,
        "host_forward": passes.host_forward @ member,
        "host_backward": passes.host_backward @ member,
    }
    if shards is not None:
        mine = [np.flatnonzero(owners == chunk) for chunk in range(split.chunks)]
        for name, device in (("forward", passes.forward), ("backward", passes.backward)):
            columns[name] = np.stack([_with_shards(device, shards, each, name) for each in mine], axis=1)
    shape = (3, split.virtual_pipeline, split.pipeline_parallel)
    return ChunkTimes(**{name: found.reshape(shape).transpose(2, 1, 0) for name, found in columns.items()})


def _with_shards(device: Floats, shards: Shards, mine: Owners, name: str) -> Triple:
    """Seconds of a pass over some parts with parameters gathered one part ahead.

    What surrounds the layers (embedding, head) is gathered once, before the forward pass, and sent away at the end.
    """
    last = device.shape[1] + LAST
    layers = [int(part) for part in mine if part not in (FIRST, last)]
    edges = [int(part) for part in mine if part in (FIRST, last)]
    order = layers if name == "forward" else layers[::-1]
    around = shards.gather if name == "forward" else shards.scatter
    total = device[:, edges].sum(axis=1) + around[:, edges].sum(axis=1)
    if not order:
        return np.asarray(total)
    gather, own, nothing = shards.gather[:, order], device[:, order], np.zeros((3, 1))
    scatter = shards.scatter[:, order] if name == "backward" else np.zeros_like(gather)
    sent = np.hstack([gather[:, 1:], nothing]) + np.hstack([nothing, scatter[:, :-1]])
    busy = own + shards.stolen[:, None] * np.minimum(sent, own)
    total = total + np.maximum(busy, sent).sum(axis=1) + gather[:, 0] + scatter[:, -1]
    return np.asarray(total)
