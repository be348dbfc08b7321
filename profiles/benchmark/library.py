"""Where machine profiles are: the user's own in the store, recorded ones with the package. Nothing here needs torch."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from hardware_db.errors import DataError
from hardware_db.store_place import store_exists, store_may_hold
from profiles.machine_profile import Machine, MachineProfile


def name_of(profile: MachineProfile) -> str:
    """Return the name a profile is kept under: "h200-sxm_2026-11-20"; the next one of that day takes its place.

    Threads are part of it on a CPU, and processes where collectives were timed; a profile that was stopped, or had no
    time for all cases, never takes the place of a whole one.
    """
    machine, processes = profile.machine, max((timing.processes for timing in profile.timings), default=1)
    parts = [
        device_name(machine),
        f"{machine.threads}-threads" if machine.threads else "",
        f"{processes}-processes" if processes > 1 else "",
        profile.date,
        "" if profile.whole else "part",
    ]
    return "_".join(part for part in parts if part)


def device_name(machine: Machine) -> str:
    """Return the device's id, or for one that is not in the database its own name as an id would be written."""
    return machine.device or re.sub(r"[^a-z0-9]+", "-", machine.reported.lower()).strip("-") or machine.kind


BASIC: Final = {"cpu": "cache.near_share", "gpu": "bandwidth.elementwise"}
"""The figure by kind of device without which estimates cannot use a profile."""


def usable(profile: MachineProfile) -> bool:
    """Whether enough was measured for estimates to use it."""
    return profile.figure(BASIC[profile.machine.kind]) is not None


def keep(profile: MachineProfile) -> str:
    """Put a profile into the user's store and return its name.

    Raises
    ------
    StoreError
        The store does not answer.
    """
    from hardware_db.store import open_store
    from hardware_db.store_documents import StoredProfile, save_profile

    recorded = datetime.fromisoformat(profile.recorded_at).astimezone(UTC).replace(tzinfo=None)
    document = json.loads(profile.to_json())
    save_profile(open_store(), StoredProfile(name_of(profile), device_name(profile.machine), recorded, document))
    return name_of(profile)


def forget(device: str) -> int:
    """Remove the user's own profiles of a device and return how many there were.

    Raises
    ------
    StoreError
        The store does not answer.
    """
    if not store_exists():
        return 0
    from hardware_db.store import open_store
    from hardware_db.store_schema import machine_profiles

    with open_store().transaction() as connection:
        removed = connection.execute(machine_profiles.delete().where(machine_profiles.c.device == device))
    return int(removed.rowcount)


def profiles_of(device: str | None = None) -> tuple[MachineProfile, ...]:
    """Return the profiles of a device (its id), or all: own ones first, the newest first.

    Own ones that are not whole come after the others, the one with most cases first; those that hold nothing but
    collectives come last.

    Raises
    ------
    StoreError
        The store does not answer.
    DataError
        A profile is broken.
    """
    own = sorted(_kept(device), key=lambda each: each.recorded_at, reverse=True)
    shipped = [each for each in recorded_profiles() if device is None or each.machine.device == device]
    return tuple(sorted((*own, *shipped), key=lambda each: _rank(each, own=each in own)))


def _rank(profile: MachineProfile, *, own: bool) -> tuple[int, int]:
    """Order profiles by what they are worth: own whole ones, own parts, shipped ones, collectives alone."""
    if only_collectives(profile):
        return 3, 0
    if not own:
        return 2, 0
    return (0, 0) if profile.whole else (1, -len(profile.timings))


def only_collectives(profile: MachineProfile) -> bool:
    """Whether the profile holds nothing but times of collectives: `profiles.benchmark.collectives` made it."""
    return all(timing.family == "collective" for timing in profile.timings)


def profile_with(figure: str, device: str, threads: int | None = None) -> MachineProfile | None:
    """Return the profile of a device to use for a figure; None where nobody measured it.

    Parameters
    ----------
    figure
        Its name, "sustained.matmul.float32".
    device
        Id of the device.
    threads
        With which a CPU runs; None: with any number.
    """
    return next(
        (
            each
            for each in profiles_of(device)
            if each.figure(figure) is not None and threads in (None, each.machine.threads)
        ),
        None,
    )


def _kept(device: str | None) -> Iterator[MachineProfile]:
    if not store_may_hold("machine_profiles"):
        return
    from hardware_db.store import open_store
    from hardware_db.store_documents import stored_profiles

    for stored in stored_profiles(open_store(), device):
        yield MachineProfile.from_json(json.dumps(dict(stored.document)), f"The machine profile {stored.name}")


@cache
def recorded_profiles() -> tuple[MachineProfile, ...]:
    """Return the profiles that ship with the package, the newest of a device first."""
    return tuple(_recorded())


def _recorded() -> Iterator[MachineProfile]:
    folder = files("profiles.recorded_machines")
    for path in sorted(folder.iterdir(), key=lambda each: each.name, reverse=True):
        if path.name.endswith(".json.gz"):
            try:
                yield MachineProfile.from_json(gzip.decompress(path.read_bytes()), path.name)
            except (OSError, EOFError) as error:
                raise DataError(f"The recorded machine {path.name} cannot be read: {error}") from error
