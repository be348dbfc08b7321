"""Collectives that were measured on a machine take the place of those worked out from its links.

`torchrun -m profiles.benchmark.collectives` fits a latency and a bus bandwidth to each:
seconds = latency + bus bytes / bus bandwidth, with bus bytes of (n-1)/n of the payload a pass (two for an all-reduce).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hardware_db.errors import FlopcastError
from hardware_db.store_place import store_url
from profiles.benchmark.library import profiles_of

if TYPE_CHECKING:
    from profiles.machine_profile import MachineProfile

PASSES: Final = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1}
"""Measured collectives, and how often their payload passes each link."""


@dataclass(frozen=True, slots=True)
class MeasuredLine:
    """Seconds of a collective over `processes`: latency, seconds of a bus byte, and the error of both, relative."""

    latency_s: float
    s_per_bus_byte: float
    error: float


@dataclass(frozen=True, slots=True)
class MeasuredLinks:
    """What was measured over `processes` devices; `all_gather` stands for reduce-scatter as well."""

    processes: int
    all_reduce: MeasuredLine
    all_gather: MeasuredLine


def measured_links(device: str) -> MeasuredLinks | None:
    """Return what machine profiles have of a device (its id), over the most processes; None where nothing was."""
    return _measured(store_url()).get(device)


@lru_cache(maxsize=4)
def _measured(_store: str) -> dict[str, MeasuredLinks]:
    """All that was measured, by device; a store that does not answer counts as empty."""
    try:
        profiles = list(profiles_of())
    except FlopcastError:
        return {}
    found: dict[str, MeasuredLinks] = {}
    for each in profiles:
        links, device = links_of(each), each.machine.device or ""
        if links is not None and (device not in found or found[device].processes < links.processes):
            found[device] = links
    return found


def links_of(profile: MachineProfile) -> MeasuredLinks | None:
    """Return the collectives of a machine profile; None where it has none."""
    reduce, gather = _line(profile, "all_reduce"), _line(profile, "all_gather")
    if reduce is None or gather is None:
        return None
    return MeasuredLinks(max(timing.processes for timing in profile.timings), reduce, gather)


def _line(profile: MachineProfile, name: str) -> MeasuredLine | None:
    figures = {each.name: each for each in profile.figures}
    latency = figures.get(f"collective.{name}.latency")
    bandwidth = figures.get(f"collective.{name}.bus_bandwidth")
    if latency is None or bandwidth is None:
        return None
    return MeasuredLine(latency.value, 1 / bandwidth.value, max(latency.error, bandwidth.error))
