"""What `flopcast benchmark` measured: its figures take the place of fitted ones, on that device and its siblings.

A CPU is priced by the costs of its machine profile (`profiles.benchmark.costs`), divided by how much more (or less) the
device has of cores and bandwidth than the machine that was measured. A GPU keeps the formulas, with the rates,
bandwidth and launches that were measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.timing.seconds import Seconds
from estimator.timing.settings import COMPUTE, LAUNCH, MEMORY, Basis, Floats
from hardware_db import load
from hardware_db.errors import FlopcastError
from hardware_db.store_place import store_url
from profiles.benchmark.costs import seconds_by_row
from profiles.benchmark.library import profiles_of, recorded_profiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardware_db import Device
    from profiles.machine_profile import MachineProfile
    from profiles.tables import OperationTable

COSTS: Final = "cache.near_share"
"""The figure without which a CPU's profile has no costs."""


ENOUGH: Final = 0.9
"""Share of a CPU's time that must be of kinds of operations that were timed, for the time to count as measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What machine profiles say of a device: their figures, the device as it was measured, and how closely.

    `own` tells the user's profiles from those that ship, `date` is that of the first.
    """

    figures: dict[str, float]
    machine: Device
    basis: Basis
    date: str
    own: bool = False


def measured_for(device: str, architecture: str, kind: str, units: float, store: str) -> Measured | None:
    """Return what was benchmarked of a device (its id), else of another of its architecture; None where nothing was.

    Of profiles of one processor the own ones count, and of these that of about as many cores, `units`: kernels on one
    thread are not twice as slow as on two. `store` is the address of the user's store, where own profiles are.
    """
    known = machine_profiles(store)
    same = [each for each in known if each.machine.id == device]
    if same:
        return min((each for each in same if each.own is same[0].own), key=lambda each: _apart(each.machine, units))
    like = [each for each in known if architecture and each.machine.architecture == architecture]
    sibling = next((each for each in like if each.machine.kind == kind), None)
    return None if sibling is None else replace(sibling, basis="sibling")


def _apart(machine: Device, units: float) -> float:
    """How many times more, or fewer, units a machine has, on the scale of logarithms; 0 where that is unknown."""
    return abs(math.log(machine.compute_units / units)) if machine.compute_units and units else 0.0


def as_benchmarked(device: Device) -> Device:
    """Return the part of a processor that the user benchmarked: a machine has 2 of the 24 cores that its socket has.

    Of several parts it is the largest. Any other device, a part of one that is rented, and one that only others
    measured, is returned as it is.
    """
    if device.kind != "cpu":
        return device
    own = [each.machine for each in machine_profiles(store_url()) if each.own and each.machine.id == device.id]
    published = load().devices_by_id.get(device.id)
    if not own or published is None or device.compute_units != published.compute_units:
        return device
    return max(own, key=lambda machine: machine.compute_units or 0)


def cores_said(machine: Device) -> str:
    """Return which part of its socket a machine is, "2 of 24 cores"; "" where it is all of it, or not a processor."""
    published = load().devices_by_id.get(machine.id)
    if machine.kind != "cpu" or published is None or machine.compute_units == published.compute_units:
        return ""
    return f"{machine.compute_units:g} of {published.compute_units:g} cores"


@lru_cache(maxsize=4)
def machine_profiles(_store: str) -> tuple[Measured, ...]:
    """Return what the machine profiles say, own ones first; a store that does not answer counts as empty.

    Profiles of one machine with as many threads complete each other: a benchmark that time was up for, or that was
    stopped, lacks kinds of operations that another has.
    """
    try:
        machines: dict[tuple[str | None, int | None], list[MachineProfile]] = {}
        for each in profiles_of():
            machines.setdefault((each.machine.device, each.machine.threads), []).append(each)
    except FlopcastError:
        return ()
    return tuple(found for same in machines.values() if (found := _together(same)) is not None)


def _together(same: Sequence[MachineProfile]) -> Measured | None:
    first = same[0]
    figures: dict[str, float] = {}
    for profile in reversed(same):
        values = profile.values
        kinds = {_kind(name) for name in values}
        figures = {name: value for name, value in figures.items() if _kind(name) not in kinds} | values
    machine = load().devices_by_id.get(first.machine.device or "")
    if machine is None or (machine.kind == "cpu" and COSTS not in figures):
        return None
    units = first.machine.units
    if machine.kind == "cpu" and units and machine.compute_units:
        machine = machine.fraction(units / machine.compute_units, memory_bytes=first.machine.memory_bytes)
    shipped = any(first is each for each in recorded_profiles())
    return Measured(figures, machine, "measured", first.date, own=not shipped)


def _kind(figure: str) -> str:
    """Return what was fitted together: "cost.matmul" for "cost.matmul.flops"; other figures are by themselves."""
    return figure.rpartition(".")[0] if figure.startswith(("cost.", "cache.")) else figure


def cpu_seconds(
    table: OperationTable, device: Device, found: Measured, otherwise: Seconds, of_eager: Floats
) -> tuple[Seconds, bool]:
    """Return the seconds of one call of each operation of a CPU, and whether enough of them rest on the benchmark.

    Kinds of operations that were not timed keep the formulas' time, `otherwise`. Eager operations are what is timed:
    compiled ones take the share `of_eager` that the formulas say.
    """
    rows = seconds_by_row(table, found.figures)
    compute = rows.compute * _more(found.machine.peak_flops_per_s("float32"), device.peak_flops_per_s("float32"))
    memory = rows.memory * _more(found.machine.memory_bandwidth_bytes_per_s, device.memory_bandwidth_bytes_per_s)
    known = np.isfinite(rows.total)
    parts: Floats = np.zeros((3, len(table)))
    for place, seconds in ((COMPUTE, compute), (MEMORY, memory), (LAUNCH, rows.launch)):
        parts[place] = np.where(known, seconds * of_eager, otherwise.parts[place])
    taken = parts.sum(axis=0) * table.count.astype(float)
    return Seconds(parts, otherwise.host), bool(taken[known].sum() >= ENOUGH * taken.sum())


def _more(machine: float | None, device: float | None) -> float:
    """How many times the machine that was measured has what the device has."""
    return machine / device if machine and device else 1.0
