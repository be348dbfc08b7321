"""In words: why a step does not fit a device, and what would make it fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from estimator.memory.need import MemoryNeed
from hardware_db.units import gibibytes

if TYPE_CHECKING:
    from hardware_db import Device


def shortage(needed: MemoryNeed, device_id: str, capacity_bytes: int) -> str:
    """Return why it does not fit: needed, there, and what holds the most."""
    held = ", ".join(f"{gibibytes(size)} {name}" for name, size in list(needed.parts.items())[:4] if size)
    return f"needs {gibibytes(needed.total_bytes)} a device, {device_id} has {gibibytes(capacity_bytes)}: {held}"


def remedies(needed: MemoryNeed, capacity_bytes: int, devices: Iterable[Device], divided: str = "") -> str:
    """Return what would make it fit: checkpointing where the rest fits, divided states, or devices with the memory."""
    ways = [divided] if divided else []
    if needed.total_bytes - needed.activation_bytes < capacity_bytes:
        ways.append(f"less activations (they hold {gibibytes(needed.activation_bytes)}): activation checkpointing")
    large = sorted(
        (device.usable_memory_bytes, device.id)
        for device in devices
        if device.kind != "cpu" and device.usable_memory_bytes and device.usable_memory_bytes >= needed.total_bytes
    )
    ways.extend(f"{name} ({gibibytes(capacity)})" for capacity, name in large[:2])
    if not ways:
        ways.append("layers split over devices too: flopcast plan")
    return f"Would fit: {' · '.join(ways)}"
