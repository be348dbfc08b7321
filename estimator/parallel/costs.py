"""Seconds of one micro-batch on every part of a model, computing and communicating, for one split.

    pass of a part = computing (roofline of the divided operations) + collectives that nothing hides

Tensor parallel: every pair of linear layers ends in a sum over the group, forward and backward (Shoeybi et al., 2019);
with sequence parallelism that sum is a reduce-scatter here and an all-gather before the next pair, which takes as long.
Expert parallel: rows go to their experts and back, forward and backward (Lepikhin et al., 2021). Context parallel: keys
and values pass around a ring while attention computes; what takes longer than the attention shows (Liu et al., 2023),
and so does merging what was found for the keys of each device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.adjust import Adjustment, adjustment_of
from estimator.parallel.again import spared
from estimator.parallel.layout import Layout, layout_of
from estimator.parallel.linears import ROWS
from estimator.parallel.roles import Role
from estimator.parallel.routing import USUAL, Routing
from estimator.parallel.running import TIMES, Run, run_of
from estimator.parallel.sharding import quadratic
from estimator.parallel.values import Triple, triple
from estimator.parallel.wires import wires_of

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.network import Network
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.sharding import Mask
    from estimator.parallel.stack import Stack
    from estimator.timing import Basis, TimeBreakdown
    from estimator.timing.settings import MemoryFormat
    from hardware_db import Device
    from profiles.model_profile import ModelProfile
    from profiles.tables import OperationTable

STOLEN: Final = triple(0.02, 0.08, 0.15)
"""Share of the computing that a collective running beside it slows down: Calculon's 0.15 on NVLink and 0.02 on
InfiniBand (Isaev et al., 2023, processor_usage)."""

CPU_SENDERS: Final = 1
"""Cores of a CPU that a collective beside computing takes from it: each process moves and adds bytes by itself, in a
thread of gloo (github.com/pytorch/gloo, transport/tcp)."""

INNER: Final = 2
"""Place of k among m, n, k: products that sum over rows are gradients of weights."""


@dataclass(frozen=True, eq=False)
class PartCosts:
    """Seconds of one micro-batch on each part of a model, low, mid and high: (3, parts) arrays.

    Attributes
    ----------
    forward, backward
        computing
    weights
        the part of `backward` that only the optimizer waits for: gradients of weights
    attention
        the part of `forward` that selective checkpointing computes again
    spared
        the part of `forward` that full checkpointing does not compute again
    host_forward, host_backward, host_operation
        the host's time to issue the operations, and one of the forward pass, (3,)
    tensor_forward, tensor_backward, expert_forward, expert_backward, context_forward, context_backward
        exposed collectives
    optimizer, host_optimizer
        (3,) an optimizer step over all parameters on one device, and the host's time to issue it
    buckets
        (3, parts) middle seconds of forward and backward by what binds: compute, memory, launch
    """

    forward: Floats
    backward: Floats
    weights: Floats
    attention: Floats
    spared: Floats
    host_forward: Floats
    host_backward: Floats
    host_operation: Floats
    tensor_forward: Floats
    tensor_backward: Floats
    expert_forward: Floats
    expert_backward: Floats
    context_forward: Floats
    context_backward: Floats
    optimizer: Floats
    host_optimizer: Floats
    buckets: Floats
    basis: Basis
    notes: tuple[str, ...]

    @property
    def exposed_forward(self) -> Floats:
        """Exposed collectives of the forward pass."""
        exposed: Floats = self.tensor_forward + self.expert_forward + self.context_forward
        return exposed

    @property
    def exposed_backward(self) -> Floats:
        """Exposed collectives of the backward pass."""
        exposed: Floats = self.tensor_backward + self.expert_backward + self.context_backward
        return exposed


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a step runs.

    `routing` is how tokens go to experts; `factors` take the place of those of the software (None), to find them.
    """

    device: Device
    network: Network
    stack: Stack
    memory_format: MemoryFormat = "contiguous"
    factors: Adjustment | None = None
    routing: Routing = USUAL

    def run(self, profile: ModelProfile, split: Parallelism) -> Run:
        """Return what one device runs of a split."""
        return run_of(profile, split, (self.device, self.stack, self.memory_format))

    @property
    def stolen(self) -> Triple:
        """Share of the computing that a collective beside it slows down; a CPU of one core does either or the other."""
        if self.device.kind != "cpu":
            return STOLEN
        stolen: Triple = np.maximum(STOLEN, min(1.0, CPU_SENDERS / max(1, self.device.compute_units or 1)))
        return stolen

    @property
    def adjustment(self) -> Adjustment:
        """Factors on the parts of a step."""
        return self.factors or adjustment_of(self.stack.name, self.device)


def part_costs(profile: ModelProfile, split: Parallelism, setting: Setting) -> PartCosts:
    """Return the seconds of one micro-batch (the profile's batch) on every part of the model.

    Raises
    ------
    UsageError
        the split does not divide the model, or a link is unknown
    UnknownPrecision
        the device has no peak for a precision of the profile
    """
    layout, adjusted = layout_of(profile), setting.adjustment
    table, alone = TIMES.of(setting.run(profile, split))
    load = setting.routing.load(layout, split.expert_parallel)[:, None]
    experts = np.where(layout.role >= Role.EXPERT_COLUMN, adjusted.expert_products, 1.0)
    crowded = np.where(layout.role >= Role.EXPERT, load, 1.0) * experts
    device_s = alone.device_s * adjusted.of_operations(table) * crowded
    breakdown = replace(alone, device_s=device_s, host_s=alone.host_s * adjusted.host)
    phases = {name: table.phase.mask(name) for name in ("forward", "backward", "optimizer")}
    blocks = layout.blocks
    again = (layout.role == Role.HEADS) | ((layout.role == Role.INSIDE) & quadratic(profile.trace.current))

    def seconds(values: Floats, rows: Mask) -> Floats:
        return blocks.per_part(values * rows)

    attention = seconds(breakdown.device_s, phases["forward"] & again)
    wires = wires_of(layout, table, split, setting)
    hidden = {"forward": attention, "backward": seconds(breakdown.device_s, phases["backward"] & again)}
    return PartCosts(
        forward=seconds(breakdown.device_s, phases["forward"]),
        backward=seconds(breakdown.device_s, phases["backward"]),
        weights=seconds(breakdown.device_s, phases["backward"] & (layout.axes[:, ROWS] == INNER)),
        attention=attention,
        spared=seconds(device_s, spared(layout, setting.stack.keeps, setting.stack.recomputes_unneeded)),
        host_forward=seconds(breakdown.host_s, phases["forward"]),
        host_backward=seconds(breakdown.host_s, phases["backward"]),
        host_operation=_one(breakdown.host_s, phases["forward"], table),
        tensor_forward=adjusted.tensor * wires.tensor,
        tensor_backward=adjusted.tensor * wires.tensor,
        expert_forward=adjusted.expert * wires.expert * load,
        expert_backward=adjusted.expert * wires.expert * load,
        context_forward=_beside(wires.context, hidden["forward"], setting.stolen) + wires.merging,
        context_backward=_beside(2 * wires.context, hidden["backward"], setting.stolen) + wires.merging,
        optimizer=(breakdown.device_s * phases["optimizer"]).sum(axis=1),
        host_optimizer=(breakdown.host_s * phases["optimizer"]).sum(axis=1) * (not setting.stack.fused_optimizer),
        buckets=_buckets(layout, table, breakdown),
        basis=breakdown.basis,
        notes=breakdown.notes,
    )


def _beside(sent: Floats, computing: Floats, stolen: Triple) -> Floats:
    """Seconds that messages beside computing add: what is longer than it, and what they steal of it."""
    added: Floats = np.maximum(0.0, sent - computing) + stolen[:, None] * np.minimum(sent, computing)
    return added


def _one(seconds: Floats, rows: Mask, table: OperationTable) -> Floats:
    """Mean seconds of one call of some operations that start something."""
    calls = float((table.count * rows * ~table.family.mask("view")).sum())
    mean: Floats = (seconds * rows).sum(axis=1) / max(calls, 1.0)
    return mean


def _buckets(layout: Layout, table: OperationTable, breakdown: TimeBreakdown) -> Floats:
    binds = np.arange(3)[:, None] == breakdown.bound[None, :]
    return layout.blocks.per_part(breakdown.device_s[1] * binds)
