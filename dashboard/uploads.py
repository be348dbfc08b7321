"""Uploaded models: read as data, kept in the server's memory under a hash of their content.

The hash is in the link, so that a reload and a colleague with the link find the model while the server runs. A small
profile is read at once; whatever else comes goes to a process without network, in a folder that is gone afterwards.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from threading import Lock
from typing import Final

from dashboard import processes
from dashboard.processes import Asked
from hardware_db.errors import DataError, UsageError
from profiles.model_profile import ModelProfile

KINDS: Final = ("json", "gz", "pt2", "onnx")
"""Endings of the files that are taken."""
MOST_BYTES: Final = 32 * 2**20
READ_AT_ONCE_BYTES: Final = 2 * 2**20
PATIENCE_S: Final = 120.0
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
_reading = Lock()
"""One upload is read at a time, whoever sent it."""


def safe_name(text: str) -> str:
    """Return the last part of a name that a visitor sent, without what a shell or a page could trip over.

    Examples
    --------
    >>> safe_name("../../etc/x;y.onnx")
    'x_y.onnx'
    """
    return re.sub(r"[^A-Za-z0-9._ -]", "_", PureWindowsPath(text).name)[-80:].lstrip(".") or "upload"


def at_once(name: str, data: bytes) -> bool:
    """Whether a file is a small profile, which the server itself may read."""
    return name.endswith(".json") and len(data) <= READ_AT_ONCE_BYTES and b'"model_type"' not in data


def accept(file_name: str, data: bytes) -> Upload:
    """Read the text of a profile and keep it; the oldest of more than 32 is forgotten.

    Raises
    ------
    DataError
        it is no profile, or a damaged or too large one
    UsageError
        it is the profile of a forward pass
    """
    name = safe_name(file_name)
    profile = ModelProfile.from_json(data)
    if profile.mode != "train":
        raise UsageError(f"{name} is the profile of a forward pass. Profile the training step: without --inference")
    label = f"{name}{MARK}{hashlib.sha256(data).hexdigest()[:HASH_DIGITS]}"
    with _lock:
        found = _kept.setdefault(label, Upload(label, name, profile))
        _kept.move_to_end(label)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return found


def start_reading(file_name: str, data: bytes, precision: str) -> Asked:
    """Have a file read by a process of its own; its answer is the text of a profile.

    Raises
    ------
    DataError
        it is larger than what is taken
    """
    name = safe_name(file_name)
    if len(data) > MOST_BYTES:
        raise DataError(f"{name} has {len(data) / 2**20:,.0f} MiB; at most {MOST_BYTES // 2**20} MiB are taken")
    asked = Asked(f"Reading {name} in {precision}")
    threading.Thread(target=_read, args=(asked, name, data, precision), daemon=True).start()
    return asked


def _read(asked: Asked, name: str, data: bytes, precision: str) -> None:
    with _reading, tempfile.TemporaryDirectory(prefix="flopcast-upload-") as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        command = [sys.executable, "-m", "dashboard.reader", str(file), precision]
        asked.answer, asked.error = processes.run(command, "", asked.told, PATIENCE_S, _surroundings(folder))
    asked.done = True


def _surroundings(folder: str) -> dict[str, str]:
    """Return the environment of the reading process: nothing of the server's but where Python and its libraries are."""
    passed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG") if name in os.environ}
    own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), folder)
    return passed | own | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def kept(label: str | None) -> Upload | None:
    """Return the upload of this label while it is kept."""
    with _lock:
        return _kept.get(label or "")


def is_label(text: str) -> bool:
    """Whether a text in a link names an upload, kept or not."""
    return MARK in text
