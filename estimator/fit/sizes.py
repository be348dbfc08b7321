"""The largest micro-batch and the longest sequence that fit a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import hardware_db
from estimator.memory import MemoryNeed, MemorySettings, held_at_peak, layers_of, need_of, overhead_of
from estimator.run import batch_multiple
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Database, Device
    from profiles.model_profile import ModelProfile

MOST_LAYERS: Final = 10_000
MOST: Final = 1 << 24
"""No larger sizes are tried."""


@dataclass(frozen=True)
class Room:
    """A device, as the framework counts it, whose memory is to be filled."""

    device: Device
    capacity_bytes: int

    def need(self, profile: ModelProfile, settings: MemorySettings) -> MemoryNeed:
        """Return what the device must hold for a step of the profile's size."""
        return need_of(held_at_peak(profile, settings), overhead_of(self.device), self.capacity_bytes)

    def holds(self, profile: ModelProfile, settings: MemorySettings) -> bool:
        """Whether it more likely fits than not."""
        return self.need(profile, settings).total_bytes <= self.capacity_bytes

    def largest_batch(self, profile: ModelProfile, settings: MemorySettings) -> int | None:
        """Return the largest micro-batch that fits; None where none does."""

        def fits(batch: int) -> bool:
            return self.holds(profile.at(batch_size=batch), settings)

        if not profile.trace.recording.batch_multiple:
            return profile.batch_size if fits(profile.batch_size) else None
        found = largest(batch_multiple(profile), MOST, fits)
        one = profile.trace.single is not None and batch_multiple(profile) > 1
        return 1 if found is None and one and fits(1) else found

    def deepest(self, profile: ModelProfile, settings: MemorySettings) -> int | None:
        """Return the most layers that fit; None: not even one does, or the model is not one stack of layers."""
        now = layers_of(profile)

        def fits(layers: int) -> bool:
            return self.holds(profile, replace(settings, more_layers=layers - now))

        return largest(1, MOST_LAYERS, fits) if now else None

    def longest_sequence(self, profile: ModelProfile, settings: MemorySettings) -> int | None:
        """Return the longest sequence that fits at the profile's batch; None: none does, or there are no sequences."""
        if profile.sequence_length is None:
            return None

        shortest, longest = profile.trace.current.lengths

        def fits(length: int) -> bool:
            return self.holds(profile.at(sequence_length=max(length, shortest)), settings)

        multiple = profile.trace.current.sequence_multiple
        if not multiple:
            return profile.sequence_length if fits(profile.sequence_length) else None
        found = largest(multiple, min(profile.sequence_limit or MOST, longest or MOST), fits)
        return None if found is None or found < shortest else found


def found_device(device: Device | str, database: Database | None) -> Device:
    """Return the device of this name, or the one given.

    Raises
    ------
    UnknownDevice
        no device, or several, have this name
    """
    return (database or hardware_db.load()).device(device) if isinstance(device, str) else device


def room_of(device: Device) -> Room:
    """Return one device, as the framework counts it, with its memory.

    Raises
    ------
    UsageError
        its memory is unknown
    """
    part = device.logical_device()
    capacity = part.usable_memory_bytes
    if capacity is None:
        raise UsageError(
            f"The memory of {device.id} is unknown: whether something fits cannot be told. "
            "A CPU's comes with its machine; give a device with memory_bytes"
        )
    if device.devices_per_host:
        part = replace(part, devices_per_host=device.devices_per_host * device.logical_devices)
    return Room(part, capacity)


def largest(unit: int, limit: int, fits: Callable[[int], bool]) -> int | None:
    """Return the largest multiple of `unit` up to `limit` that fits, by doubling and halving."""
    if unit > limit or not _holds(fits, unit):
        return None
    low, high = 1, 2
    while high * unit <= limit and _holds(fits, high * unit):
        low, high = high, 2 * high
    high = min(high, limit // unit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(fits, middle * unit) else (low, middle)
    return low * unit


def _holds(fits: Callable[[int], bool], size: int) -> bool:
    """Whether a size fits; one that the model cannot be run at does not."""
    try:
        return fits(size)
    except UsageError:
        return False
