"""Uploaded profiles: read as data, kept in the server's memory under a hash of their content.

The hash is in the link, so that a reload and a colleague with the link find the profile while the server runs; nothing
is written to the disk.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from hardware_db.errors import UsageError
from profiles.model_profile import ModelProfile
from profiles.profile_json import unpack

MOST_KEPT: Final = 32
HASH_DIGITS: Final = 16
MARK: Final = "@"


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded profile; `label` names it in the list of models and in the link."""

    label: str
    file_name: str
    profile: ModelProfile


_kept: OrderedDict[str, Upload] = OrderedDict()
_lock = Lock()


def accept(file_name: str, data: bytes) -> Upload:
    """Read an upload and keep it; the oldest of more than 32 is forgotten.

    Raises
    ------
    DataError
        it is no profile, or a damaged or too large one
    UsageError
        it is the profile of a forward pass
    """
    profile = ModelProfile.from_json(unpack(data, file_name))
    if profile.mode != "train":
        raise UsageError(
            f"{file_name} is the profile of a forward pass. Profile the training step: without --inference"
        )
    label = f"{file_name}{MARK}{hashlib.sha256(data).hexdigest()[:HASH_DIGITS]}"
    with _lock:
        found = _kept.setdefault(label, Upload(label, file_name, profile))
        _kept.move_to_end(label)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return found


def kept(label: str | None) -> Upload | None:
    """Return the upload of this label while it is kept."""
    with _lock:
        return _kept.get(label or "")


def is_label(text: str) -> bool:
    """Whether a text in a link names an upload, kept or not."""
    return MARK in text
