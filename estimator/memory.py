"""What one device must hold at the peak of a training step under plain data parallelism, and whether it can.

    needed = (live bytes of one micro-batch + gradients kept + all-reduce buckets) * (1 + allocator's excess) + context

Data parallelism copies everything onto every device: more devices never make a model fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hardware_db.units import format_bytes
from profiles.timeline import HOLDERS, LiveBytes

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.model_profile import ModelProfile
    from profiles.records import MemoryFootprint


_GRADIENTS: Final = HOLDERS.index("gradient_bytes")


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a device holds besides tensors: a fixed context and the allocator's excess over the live bytes."""

    context_bytes: int
    allocator_share: float
    source: str


ACCELERATOR: Final = Overhead(
    500_000_000,
    0.05,
    "estimates: a CUDA context takes 135 MiB (T4) to 781 MB (github.com/pytorch/pytorch/issues/34323) and the caching "
    "allocator holds 0 to 10 % more than is live",
)
OVERHEADS: Final[Mapping[str, Overhead]] = {
    "cpu": Overhead(
        1_000_000_000,
        0.17,
        "resident set over live tensor bytes of 9 models trained on a CPU: 1.10 to 1.31, median 1.17; "
        "1 GB for the system and the libraries is an estimate",
    ),
}
"""Kind of device -> overhead; every other kind takes `ACCELERATOR`."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes one device must hold at the peak, by what holds them; `total_bytes` is their sum."""

    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    activation_bytes: int
    input_and_buffer_bytes: int
    bucket_bytes: int
    overhead_bytes: int

    @property
    def live_bytes(self) -> int:
        """Bytes of tensors."""
        return (
            self.parameter_bytes
            + self.gradient_bytes
            + self.optimizer_state_bytes
            + self.activation_bytes
            + self.input_and_buffer_bytes
            + self.bucket_bytes
        )

    @property
    def total_bytes(self) -> int:
        """Everything: tensors, allocator's excess and context."""
        return self.live_bytes + self.overhead_bytes

    @property
    def parts(self) -> dict[str, int]:
        """Name of each part -> its bytes, largest first."""
        named = {
            "parameters": self.parameter_bytes,
            "gradients": self.gradient_bytes,
            "optimizer": self.optimizer_state_bytes,
            "activations": self.activation_bytes,
            "inputs and buffers": self.input_and_buffer_bytes,
            "all-reduce buckets": self.bucket_bytes,
            "context and allocator": self.overhead_bytes,
        }
        return dict(sorted(named.items(), key=lambda part: -part[1]))


@dataclass(frozen=True, slots=True)
class Replica:
    """How one data-parallel replica runs: samples at a time, whether gradients wait for more, how many replicas."""

    micro_batch_size: int
    accumulates: bool
    replicas: int


def gradient_bytes(profile: ModelProfile, parameter_bytes: int) -> int:
    """Return the bytes of all gradients: trainable parameters in the parameters' own type (torch keeps them so)."""
    if not profile.parameters:
        return 0
    return round(parameter_bytes * profile.trainable_parameters / profile.parameters)


def need(profile: ModelProfile, peak: MemoryFootprint | LiveBytes, replica: Replica, kind: str) -> MemoryNeed:
    """Return what one device of `kind` must hold for this replica.

    `peak` is `peak_of` the profile at the replica's micro-batch. With gradient accumulation all gradients live through
    the whole step; between replicas DistributedDataParallel keeps a second copy of them in its buckets (the default
    gradient_as_bucket_view=False).
    """
    gradients = gradient_bytes(profile, peak.parameter_bytes)
    kept = gradients if replica.accumulates else peak.gradient_bytes
    buckets = gradients if replica.replicas > 1 else 0
    overhead = OVERHEADS.get(kind, ACCELERATOR)
    tensors = (
        peak.parameter_bytes,
        kept,
        peak.optimizer_state_bytes,
        peak.activation_bytes,
        peak.input_bytes + peak.buffer_bytes,
        buckets,
    )
    return MemoryNeed(*tensors, overhead.context_bytes + round(overhead.allocator_share * sum(tensors)))


def peak_of(profile: ModelProfile, *, accumulates: bool) -> MemoryFootprint | LiveBytes:
    """Return the moment with the most live bytes; with accumulation all gradients are alive at every moment."""
    timeline = profile.trace.current.timeline
    if not accumulates or not timeline.moments:
        return profile.memory
    sizes = timeline.sizes.at(profile.batch_size, profile.sequence_length)
    live = sizes[np.array([rows for *_, rows in timeline.moments])]
    highest = int((live.sum(axis=1) - live[:, _GRADIENTS]).argmax())
    _, phase, module, _ = timeline.moments[highest]
    return LiveBytes(phase, module, *map(int, live[highest]))


def shortage(needed: MemoryNeed, device_id: str, capacity_bytes: int) -> str:
    """Return why it does not fit: needed, there, and what holds the most."""
    held = ", ".join(f"{format_bytes(size)} {name}" for name, size in list(needed.parts.items())[:4] if size)
    return f"needs {format_bytes(needed.total_bytes)} a device, {device_id} has {format_bytes(capacity_bytes)}: {held}"


def remedies(needed: MemoryNeed, capacity_bytes: int, devices: Iterable[Device]) -> str:
    """Return what would make it fit: activation checkpointing where the rest fits, or devices that have the memory."""
    ways = []
    if needed.total_bytes - needed.activation_bytes < capacity_bytes:
        ways.append(f"less activations (they hold {format_bytes(needed.activation_bytes)}): activation checkpointing")
    large = sorted(
        (device.usable_memory_bytes, device.id)
        for device in devices
        if device.kind != "cpu" and device.usable_memory_bytes and device.usable_memory_bytes >= needed.total_bytes
    )
    ways.extend(f"{name} ({format_bytes(capacity)})" for capacity, name in large[:2])
    if not ways:
        ways.append("no single device; the state must be sharded over devices")
    return f"More devices do not help, data parallel copies everything. Would fit: {' · '.join(ways)}"
