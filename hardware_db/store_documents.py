"""Documents in the store: machine profiles that were recorded, and files of own devices that a team shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hardware_db.database import Database
from hardware_db.errors import UsageError
from hardware_db.own import Own, parse_own, read_own
from hardware_db.store import Store
from hardware_db.store_schema import machine_profiles, own_devices


@dataclass(frozen=True)
class StoredProfile:
    """A machine profile as it was recorded; `document` is its JSON."""

    name: str
    device: str
    recorded_at: datetime
    document: Mapping[str, Any]


def save_profile(store: Store, profile: StoredProfile) -> None:
    """Put a machine profile into the store; one with its name is replaced."""
    row = {
        "name": profile.name,
        "device": profile.device,
        "recorded_at": profile.recorded_at,
        "document": dict(profile.document),
    }
    with store.transaction() as connection:
        connection.execute(machine_profiles.delete().where(machine_profiles.c.name == profile.name))
        connection.execute(machine_profiles.insert().values(row))


def stored_profiles(store: Store, device: str | None = None) -> tuple[StoredProfile, ...]:
    """Return the machine profiles of a device (its id), or all, oldest first."""
    columns = [machine_profiles.c[name] for name in ("name", "device", "recorded_at", "document")]
    question = sa.select(*columns).order_by(machine_profiles.c.recorded_at)
    if device is not None:
        question = question.where(machine_profiles.c.device == device)
    with store.transaction(writes=False) as connection:
        return tuple(StoredProfile(*row) for row in connection.execute(question))


def share_devices(store: Store, path: Path, database: Database) -> Own:
    """Check a file of own devices and systems and put it into the store under its name; return what it defines.

    Raises
    ------
    DataError
        The file breaks the schema; nothing was changed.
    """
    own = read_own(path, database)
    row = {
        "name": path.name,
        "added_at": datetime.now(UTC).replace(tzinfo=None),
        "toml": path.read_text(encoding="utf-8"),
    }
    with store.transaction() as connection:
        connection.execute(own_devices.delete().where(own_devices.c.name == path.name))
        connection.execute(own_devices.insert().values(row))
    return own


def withdraw_devices(store: Store, name: str) -> None:
    """Take a shared file out of the store again; `name` is that of the file.

    Raises
    ------
    UsageError
        No file of that name is shared.
    """
    with store.transaction() as connection:
        known = connection.execute(sa.select(own_devices.c.name).order_by(own_devices.c.name)).scalars().all()
        if name not in known:
            raise UsageError(f"No shared file {name!r}. Shared: {', '.join(known) or 'none'}")
        connection.execute(own_devices.delete().where(own_devices.c.name == name))


def shared_devices(store: Store, database: Database) -> Own:
    """Return the devices and systems of all files in the store; the file that was added last counts more.

    Raises
    ------
    DataError
        A file breaks the schema: a newer flopcast has put it there.
    """
    question = sa.select(own_devices.c.name, own_devices.c.toml).order_by(own_devices.c.added_at)
    with store.transaction(writes=False) as connection:
        files = connection.execute(question).all()
    every = [parse_own(text, f"{name} in the store", database) for name, text in files]
    devices = {device.id: device for own in every for device in own.devices}
    systems = {system.id: system for own in reversed(every) for system in own.systems}
    return Own(tuple(devices.values()), tuple(systems.values()))
