"""What `flopcast benchmark` measured: its figures take the place of fitted ones, on that device and its siblings.

A CPU is priced by the costs of its machine profile (`profiles.benchmark.costs`), divided by how much more (or less) the
device has of cores and bandwidth than the machine that was measured. A GPU keeps the formulas, with the rates,
bandwidth and launches that were measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.timing.seconds import Seconds
from estimator.timing.settings import COMPUTE, LAUNCH, MEMORY, Basis, Floats
from hardware_db import load
from hardware_db.errors import FlopcastError
from profiles.benchmark.costs import seconds_by_row
from profiles.benchmark.library import profiles_of

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.machine_profile import MachineProfile
    from profiles.tables import OperationTable

COSTS: Final = "cache.near_share"
"""The figure without which a CPU's profile has no costs."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A machine profile that speaks for a device: its figures, the device it was measured on, and how closely."""

    figures: dict[str, float]
    machine: Device
    basis: Basis
    date: str


def measured_for(device: str, architecture: str, kind: str, store: str) -> Measured | None:
    """Return what was benchmarked of a device (its id), else of another of its architecture; None where nothing was.

    `store` is the address of the user's store, where own machine profiles are.
    """
    known = machine_profiles(store)
    own = next((each for each in known if each.machine.id == device), None)
    if own is not None:
        return own
    like = [each for each in known if architecture and each.machine.architecture == architecture]
    sibling = next((each for each in like if each.machine.kind == kind), None)
    return None if sibling is None else replace(sibling, basis="sibling")


@lru_cache(maxsize=4)
def machine_profiles(_store: str) -> tuple[Measured, ...]:
    """Return the usable machine profiles, own ones first; a store that does not answer counts as empty."""
    try:
        return tuple(found for each in profiles_of() if (found := _usable(each)) is not None)
    except FlopcastError:
        return ()


def _usable(profile: MachineProfile) -> Measured | None:
    machine = load().devices_by_id.get(profile.machine.device or "")
    if machine is None or (machine.kind == "cpu" and profile.figure(COSTS) is None):
        return None
    units = profile.machine.units
    if machine.kind == "cpu" and units and machine.compute_units:
        machine = machine.fraction(units / machine.compute_units, memory_bytes=profile.machine.memory_bytes)
    return Measured(dict(profile.values), machine, "measured", profile.date)


def cpu_seconds(table: OperationTable, device: Device, found: Measured, otherwise: Seconds) -> Seconds:
    """Return the seconds of one call of each operation of a CPU; kinds that were not timed keep the formulas' time."""
    rows = seconds_by_row(table, found.figures)
    compute = rows.compute * _more(found.machine.peak_flops_per_s("float32"), device.peak_flops_per_s("float32"))
    memory = rows.memory * _more(found.machine.memory_bandwidth_bytes_per_s, device.memory_bandwidth_bytes_per_s)
    known = np.isfinite(rows.total)
    parts: Floats = np.zeros((3, len(table)))
    for place, seconds in ((COMPUTE, compute), (MEMORY, memory), (LAUNCH, rows.launch)):
        parts[place] = np.where(known, seconds, otherwise.parts[place])
    return Seconds(parts, otherwise.host)


def _more(machine: float | None, device: float | None) -> float:
    """How many times the machine that was measured has what the device has."""
    return machine / device if machine and device else 1.0
