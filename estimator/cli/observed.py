"""What was observed on a device: measurements and machine profiles, shown beside what is published."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_db.records import Measurement
from hardware_db.store_place import store_exists

if TYPE_CHECKING:
    from profiles.machine_profile import MachineProfile, Timing

SHIPPED = Path(__file__).parents[2] / "profiles" / "recorded_machines"


@dataclass(frozen=True, slots=True)
class Observations:
    """All measurements and machine profiles at hand."""

    measurements: tuple[Measurement, ...] = ()
    profiles: tuple[MachineProfile, ...] = ()

    def of(self, device: str) -> tuple[Measurement, ...]:
        """Return what was observed on a device (its id): measurements, then the best of its machine profiles."""
        profiles = (profile for profile in self.profiles if profile.machine.device == device)
        return (*(item for item in self.measurements if item.device == device), *_best(device, profiles))


def observations(shipped: Path = SHIPPED, *, stored: bool = True) -> Observations:
    """Read the store, unless it is not to be asked, and the machine profiles that come with flopcast.

    Raises
    ------
    StoreError
        The store does not answer.
    DataError
        A machine profile is broken.
    """
    measurements, profiles = _stored() if stored and store_exists() else ((), ())
    return Observations(measurements, (*profiles, *_shipped(shipped)))


def _stored() -> tuple[tuple[Measurement, ...], tuple[MachineProfile, ...]]:
    from hardware_db.store import open_store
    from hardware_db.store_documents import stored_profiles
    from profiles.machine_profile import MachineProfile

    store = open_store()
    documents = stored_profiles(store)
    profiles = (MachineProfile.from_json(json.dumps(dict(each.document)), each.name) for each in documents)
    return store.measurements(), tuple(profiles)


def _shipped(folder: Path) -> Iterator[MachineProfile]:
    from profiles.machine_profile import MachineProfile

    for path in sorted(folder.glob("*.json*")):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        yield MachineProfile.from_json(content, str(path))


def _best(device: str, profiles: Iterable[MachineProfile]) -> tuple[Measurement, ...]:
    """Return the fastest case of each family and precision: what comes nearest to the published peak."""
    fastest: dict[tuple[str, str], Measurement] = {}
    for profile in profiles:
        for timing in profile.timings:
            found = _measurement(device, profile, timing)
            key = (timing.family, timing.precision)
            if found is not None and (key not in fastest or found.value > fastest[key].value):
                fastest[key] = found
    return tuple(fastest.values())


def _measurement(device: str, profile: MachineProfile, timing: Timing) -> Measurement | None:
    rate, unit = (timing.flops_per_s, "FLOP/s") if timing.flops else (timing.bytes_per_s, "byte/s")
    if rate is None:
        return None
    versions = ", ".join(f"{name} {version}" for name, version in profile.machine.versions)
    source = f"machine profile of {profile.machine.reported}"
    day = date.fromisoformat(profile.date)
    return Measurement(
        device, timing.family, timing.precision, timing.name, rate, unit, versions, source, day, timing.note
    )
