"""How much longer a step takes with changes that save memory, over the step as it is.

attention       fused: what reads scores of queries by keys outside of products falls away
recomputation   the forward pass of what is computed again
optimizer       its time by the bytes it moves: parameters and gradients read, parameters written, states both
ZeRO 3          half of the traffic of plain data parallelism on top (Rajbhandari et al., 2020, section 7.2)
host            bytes over the link to the host, and the host's memory for the optimizer's step
few bits        weights unpacked to 16 bits in every pass, at the rate of the memory
adapters        of the products of the backward pass those that make gradients of weights fall away: half
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.memory.attention import squared_operations
from estimator.memory.checkpointing import freed_by
from estimator.memory.moments import moments_of
from estimator.memory.settings import MemorySettings
from estimator.memory.states import state_of
from estimator.parallel.collectives import REACHED
from estimator.ranges import ZERO, Range
from estimator.timing import TimeBreakdown, TimeSettings, predict, side_by_side
from estimator.timing.parameters import parameters_of

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

Floats = NDArray[np.float64]

HOST_MEMORY_BYTES_PER_S: Final = Range(50e9, 100e9, 200e9)
"""What a host's optimizer step reaches: an estimate between two and eight channels of DDR4 or DDR5."""

UNPACKED_BYTES: Final = 2
"""Bytes of a weight of few bits when it is multiplied (bitsandbytes, bnb_4bit_compute_dtype of 16 bits)."""

WEIGHT_GRADIENTS: Final = 0.5
"""Of the products of a backward pass, those that make gradients of weights; the others make gradients of inputs."""


@dataclass(frozen=True)
class Costs:
    """Seconds of a step of one recording on one device; `settings` say how it is run."""

    profile: ModelProfile
    device: Device

    def seconds(self, settings: MemorySettings) -> Range | None:
        """Return the time of a step; None where a bandwidth that it needs is not published."""
        weights = self._weights(settings)
        order = parameters_of(self.device.kind)["side_by_side_order"]
        steps = side_by_side(self._each.device_s @ weights, self._each.host_s @ weights, order)
        busy = Range(*map(float, steps))
        besides = [self._sharding(settings), self._host(settings), self._unpacking(settings)]
        if any(each is None for each in besides):
            return None
        return sum((each for each in besides if each is not None), busy)

    @cached_property
    def _each(self) -> TimeBreakdown:
        """Time of each operation."""
        return predict(self.profile.table(), self.device, TimeSettings())

    @property
    def marginal_seconds(self) -> Floats:
        """(operations,) by how much the step is longer, in the middle, for each more run of all calls of an operation.

        Device and host run side by side (`estimator.timing.side_by_side`), so each counts by its slope where the step
        is now: what the device does hardly matters where the host is what takes long.
        """
        order = parameters_of(self.device.kind)["side_by_side_order"]
        device, host = self._each.device_s[1], self._each.host_s[1]
        total = float(side_by_side(device.sum(), host.sum(), order))
        slopes = [float((each.sum() / total) ** (order - 1)) for each in (device, host)]
        found: Floats = slopes[0] * device + slopes[1] * host
        return found

    def _weights(self, settings: MemorySettings) -> Floats:
        """How often each operation runs, recomputation included; the optimizer's by the bytes it moves."""
        table = self.profile.table()
        weights = np.ones(len(table))
        if settings.recomputes:
            live = moments_of(self.profile).live.sum(axis=1).astype(np.float64)
            weights += freed_by(self.profile, settings, live).again
        if settings.fused_attention:
            weights[squared_operations(self.profile.trace.current)] = 0.0
        weights[table.phase.mask("optimizer")] = self._optimizer(settings)
        if settings.lora_rank is not None:
            weights[table.phase.mask("backward") & table.family.mask("matmul")] *= 1 - WEIGHT_GRADIENTS
        return weights

    def _optimizer(self, settings: MemorySettings) -> float:
        """Time of the optimizer's step over that of the recorded one."""
        if "optimizer" in settings.offloaded:
            return 0.0
        moved = [self._moved(each) for each in (settings, MemorySettings())]
        return moved[0] / moved[1] / settings.shards if moved[1] else 1.0

    def _moved(self, settings: MemorySettings) -> float:
        state = state_of(self.profile, settings)
        return 3 * state.gradients + 2 * state.optimizer + 4 * state.temporaries

    def _unpacking(self, settings: MemorySettings) -> Range | None:
        """Frozen weights of few bits, written and read in 16 bits once for each pass."""
        if settings.weight_bits is None:
            return ZERO
        if self.device.memory_bandwidth_bytes_per_s is None:
            return None
        passes = 2 + (settings.checkpointing == "full" or any(how == "full" for _, how in settings.checkpointed_blocks))
        moved = passes * 2 * UNPACKED_BYTES * self.profile.parameters
        return Range.exactly(moved / self.device.memory_bandwidth_bytes_per_s)

    def _sharding(self, settings: MemorySettings) -> Range | None:
        """Parameters gathered once more than plain data parallelism sends gradients; low: hidden, high: not."""
        if settings.zero_stage < 3 or settings.shards == 1:
            return ZERO
        bandwidth = self._bandwidth_over(settings.shards)
        if bandwidth is None:
            return None
        sent = state_of(self.profile, settings).parameters * (settings.shards - 1) / settings.shards
        seconds = sent / bandwidth
        _, usual, least = REACHED["switch"].tolist()
        return Range(0.0, seconds / usual / 2, seconds / least)

    def _bandwidth_over(self, devices: int) -> float | None:
        """Bytes a second of one device to others: inside of a machine over its link, else between machines."""
        inside = devices <= (self.device.devices_per_host or devices)
        return self.device.link_bandwidth_bytes_per_s if inside else self.device.internode_bandwidth_bytes_per_s

    def _host(self, settings: MemorySettings) -> Range | None:
        """Bytes over the link to the host; the optimizer's wait for them, activations may overlap."""
        if not settings.offloaded:
            return ZERO
        link = self.device.host_link_bandwidth_bytes_per_s
        if link is None:
            return None
        state, total = state_of(self.profile, settings), ZERO
        if "optimizer" in settings.offloaded:
            sent = 2 * state.gradients / link / settings.shards
            worked = (3 * state.gradients + 2 * state.optimizer) / settings.shards
            total += Range(
                sent + worked / HOST_MEMORY_BYTES_PER_S.high,
                sent + worked / HOST_MEMORY_BYTES_PER_S.mid,
                sent + worked / HOST_MEMORY_BYTES_PER_S.low,
            )
        if "activations" in settings.offloaded:
            sent = 2 * sum(self.profile.trace.activation_bytes.values()) / link
            total += Range(0.0, sent / 2, sent)
        return total


def ratio(after: Range | None, before: Range | None) -> Range | None:
    """Return one time over another, end by end; None where one of them is unknown."""
    if after is None or before is None:
        return None
    ends = (after.low / before.low, after.high / before.high)
    mid = after.mid / before.mid
    return Range(min(mid, *ends), mid, max(mid, *ends))
