"""What one device must hold at the peak of a step, and whether it can: tensors and everything besides them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, Literal

from estimator.memory.holding import Held, held_at_peak
from estimator.memory.overheads import GENERAL, Overhead, overhead_of
from estimator.memory.settings import MemorySettings
from estimator.ranges import Range

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

Verdict = Literal["fits", "tight", "out_of_memory"]
Basis = Literal["allocated", "reserved", "nvidia_smi"]

_TAIL: Final = NormalDist().inv_cdf(0.9)
"""A range is taken to hold 80 % of the cases: its ends are so many standard deviations away."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes one device must hold at the peak, by what holds them, and how sure that is.

    Attributes
    ----------
    workspace_bytes
        of the libraries of matrix products and convolutions
    slack_bytes
        unused ends of the allocator's blocks
    reserve_bytes
        what the allocator holds and no tensor uses
    context_bytes
        driver, kernels, runtime and buffers of collectives
    host_bytes
        states that lie in host memory instead
    allocated, reserved, total
        ranges of what the allocator has given out, of what it holds, and of everything together: 80 % of cases
    capacity_bytes
        what the device has; None where unknown
    phase, module
        when the peak is
    cache_bytes
        keys and values kept while text is written
    system_bytes
        of a memory that is shared with the rest of the machine, what the system keeps for itself
    copy_bytes
        8-bit copies of weights that are multiplied in float8
    """

    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    activation_bytes: int
    input_and_buffer_bytes: int
    gathered_bytes: int
    bucket_bytes: int
    workspace_bytes: int
    slack_bytes: int
    reserve_bytes: int
    context_bytes: int
    host_bytes: int
    allocated: Range
    reserved: Range
    total: Range
    capacity_bytes: int | None
    phase: str
    module: str
    cache_bytes: int = 0
    system_bytes: int = 0
    copy_bytes: int = 0

    @property
    def live_bytes(self) -> int:
        """Bytes of tensors."""
        state = self.copy_bytes + self.parameter_bytes + self.gradient_bytes + self.optimizer_state_bytes
        passing = self.activation_bytes + self.input_and_buffer_bytes + self.cache_bytes
        return state + passing + self.gathered_bytes + self.bucket_bytes

    @property
    def allocated_bytes(self) -> int:
        """Bytes that the framework's allocator has given out (torch.cuda.max_memory_allocated)."""
        return self.live_bytes + self.workspace_bytes + self.slack_bytes

    @property
    def reserved_bytes(self) -> int:
        """Bytes that the framework's allocator holds (torch.cuda.max_memory_reserved)."""
        return self.allocated_bytes + self.reserve_bytes

    @property
    def total_bytes(self) -> int:
        """Everything: what the allocator holds, the context and what the system keeps."""
        return self.reserved_bytes + self.context_bytes + self.system_bytes

    def measured(self, basis: Basis) -> int:
        """Return the bytes that a measurement shows: "allocated", "reserved" or "nvidia_smi" (all of the process)."""
        return round(self.measured_range(basis).mid)

    def measured_range(self, basis: Basis) -> Range:
        """Return the range of what a measurement shows."""
        return {"allocated": self.allocated, "reserved": self.reserved, "nvidia_smi": self.total}[basis]

    @property
    def probability_out_of_memory(self) -> float | None:
        """Probability that it does not fit: the need is taken as log-normal on either side of its middle."""
        if self.capacity_bytes is None:
            return None
        if self.capacity_bytes <= 0:
            return 1.0
        total, room = self.total, math.log(self.capacity_bytes / self.total.mid)
        spread = math.log(total.high / total.mid) if room > 0 else math.log(total.mid / total.low)
        return float(room < 0) if not spread else 1 - NormalDist().cdf(room / (spread / _TAIL))

    @property
    def likely_fits(self) -> bool:
        """Whether it more likely fits than not; not where the capacity is unknown."""
        return self.capacity_bytes is not None and self.total_bytes <= self.capacity_bytes

    @property
    def verdict(self) -> Verdict | None:
        """Whether it fits in at least 9 of 10 cases, fails in as many, or lies between; None: capacity unknown."""
        if self.capacity_bytes is None:
            return None
        if self.capacity_bytes >= self.total.high:
            return "fits"
        return "out_of_memory" if self.capacity_bytes < self.total.low else "tight"

    @property
    def parts(self) -> dict[str, int]:
        """Name of each part -> its bytes, largest first; they sum to `total_bytes`."""
        named = {
            "parameters": self.parameter_bytes,
            "8-bit copies": self.copy_bytes,
            "gradients": self.gradient_bytes,
            "optimizer": self.optimizer_state_bytes,
            "activations": self.activation_bytes,
            "keys and values": self.cache_bytes,
            "inputs and buffers": self.input_and_buffer_bytes,
            "gathered parameters": self.gathered_bytes,
            "all-reduce buckets": self.bucket_bytes,
            "workspaces": self.workspace_bytes,
            "allocator": self.slack_bytes + self.reserve_bytes,
            "context": self.context_bytes,
            "kept by the system": self.system_bytes,
        }
        return dict(sorted(named.items(), key=lambda part: -part[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return in base units what is needed, how sure that is, and whether it fits."""
        return {
            "fits": self.likely_fits,
            "verdict": self.verdict,
            "probability_out_of_memory": self.probability_out_of_memory,
            "memory_bytes": self.total_bytes,
            "memory_bytes_low": round(self.total.low),
            "memory_bytes_high": round(self.total.high),
        }

    def on(self, capacity_bytes: int | None) -> MemoryNeed:
        """Return the same need on a device with another capacity."""
        return replace(self, capacity_bytes=capacity_bytes)


def memory_of(
    profile: ModelProfile,
    micro_batch: int | None = None,
    sequence_length: int | None = None,
    device: Device | None = None,
    settings: MemorySettings | None = None,
) -> MemoryNeed:
    """Return what one device must hold at the peak of a step.

    Parameters
    ----------
    profile
        one step of the model; exact at any size it covers
    micro_batch, sequence_length
        samples that the device runs at once, tokens of each; default the profile's
    device
        one device as the framework counts it; default a GPU with nothing known of it and no capacity
    settings
        how the step is run; default as recorded, alone on one device

    Raises
    ------
    DataError
        The profile has no record of memory.
    UsageError
        The profile does not cover the size, or the settings do not suit the model.

    Examples
    --------
    >>> found = memory_of(profile, 8, 1024, database.device("l4"), MemorySettings(checkpointing="full"))
    >>> found.verdict, format_bytes(found.total.mid)
    ('fits', '5.53 GB')
    """
    held = held_at_peak(profile.at(micro_batch, sequence_length), settings or MemorySettings())
    if device is None:
        return need_of(held, GENERAL)
    return need_of(held, overhead_of(device), device.usable_memory_bytes)


def need_of(held: Held, overhead: Overhead, capacity_bytes: int | None = None) -> MemoryNeed:
    """Add to tensors what a device holds besides them."""
    workspace = overhead.workspace_bytes * held.multiplying_threads
    if held.convolves:
        workspace = workspace + overhead.convolution_bytes
    slack = overhead.slack_bytes * held.tensors
    context = overhead.context_bytes
    if held.communicates:
        context = context + overhead.communicator_bytes
    allocated = overhead.live_share * held.live_bytes + workspace + slack
    reserve = allocated.times(overhead.reserve_share)
    system = round(overhead.withheld_share.mid * (capacity_bytes or 0))
    return MemoryNeed(
        held.parameter_bytes,
        held.gradient_bytes,
        held.optimizer_state_bytes,
        held.activation_bytes,
        held.input_and_buffer_bytes,
        held.gathered_bytes,
        held.bucket_bytes,
        workspace_bytes=round(workspace.mid),
        slack_bytes=round(slack.mid),
        reserve_bytes=round(reserve.mid),
        context_bytes=round(context.mid) - system,
        host_bytes=held.host_bytes,
        allocated=allocated,
        reserved=allocated + reserve,
        total=allocated + reserve + context,
        capacity_bytes=capacity_bytes,
        phase=held.phase,
        module=held.module,
        cache_bytes=held.cache_bytes,
        system_bytes=system,
        copy_bytes=held.copy_bytes,
    )
