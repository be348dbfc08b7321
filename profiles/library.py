"""Profiles that are already there: kept from earlier questions, or shipped with flopcast. None of it needs torch.

A profile is found by what decides it: model definition, mode, precision, optimizer, device and image size. Batch size
and sequence length do not: a symbolic profile answers all of them, and one that is not is kept size by size. What was
kept is forgotten when the version of a package that decides the numbers changes; what was shipped holds as recorded.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_db.errors import DataError, UsageError
from profiles.model_profile import SCHEMA, Mode, ModelProfile
from profiles.thresholds import EVERYWHERE

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

DECIDING_PACKAGES = ("flopcast", "torch", "transformers", "timm", "torchvision")
_SUFFIX = ".json.gz"
_NONE = "none"
_LENGTHS = "-lengths-"
_METHOD = 3  # raised when models come to be traced in another way, so that what was kept before is forgotten
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


@dataclass(frozen=True, slots=True)
class Question:
    """What decides a profile but its size.

    model        as it was asked for: a name, "file.py:factory", "hf:llama,..."
    optimizer    None in forward mode
    device       kind of the target: "cuda", "cpu", "tpu" ...
    definition   fingerprint of what the name stands for where that may change (a user's file or configuration)
    """

    model: str
    mode: Mode
    precision: str
    optimizer: str | None
    device: str
    image_size: int | None = None
    definition: str = ""

    @property
    def key(self) -> str:
        """Hash of the question and of the versions that decide the answer."""
        content = {**asdict(self), "schema": SCHEMA, "method": _METHOD, "versions": deciding_versions()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def file_name(self) -> str | None:
        """Name of the shipped file that would answer it; None for a model that has no plain name."""
        if self.definition or not _PLAIN_NAME.fullmatch(self.model):
            return None
        parts = (self.model, self.mode, self.precision, self.optimizer, self.device, self.image_size)
        return "~".join(_NONE if part is None else str(part) for part in parts) + _SUFFIX

    @classmethod
    def of_file_name(cls, name: str) -> Question:
        """Read a name that `file_name` made.

        Raises
        ------
        DataError
            If it is no such name.
        """
        parts = name.removesuffix(_SUFFIX).split("~")
        if len(parts) != 6 or parts[1] not in ("train", "forward") or not (parts[5] == _NONE or parts[5].isdecimal()):
            raise DataError(
                f"{name} is no name of a recorded profile, such as gpt2~train~bfloat16~adamw~cuda~none.json.gz"
            )
        mode: Mode = "train" if parts[1] == "train" else "forward"
        optimizer = None if parts[3] == _NONE else parts[3]
        return cls(parts[0], mode, parts[2], optimizer, parts[4], None if parts[5] == _NONE else int(parts[5]))


def deciding_versions() -> list[tuple[str, str | None]]:
    """Return the versions of the packages that decide a trace, without importing them; None where not installed."""
    return [(package, _version(package)) for package in DECIDING_PACKAGES]


@cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cache_folder() -> Path:
    """Return where profiles are kept on this machine; it may not exist yet."""
    import platformdirs

    return platformdirs.user_cache_path("flopcast", appauthor=False) / "profiles"


def shipped_folder() -> Traversable:
    """Return where the profiles are that come with flopcast."""
    return files("profiles") / "recorded"


def find(
    question: Question,
    batch_size: int | None = None,
    sequence_length: int | None = None,
    image_size: int | None = None,
) -> ModelProfile | None:
    """Return a kept or shipped profile at a size, or None if there is none that covers it.

    Without a size the one that was recorded is taken. `image_size` is for a question that names none itself.
    """
    for profile in _candidates(question, batch_size, sequence_length):
        moved = _moved(profile, batch_size, sequence_length, image_size)
        if moved is not None:
            return moved
    return None


def _candidates(question: Question, batch_size: int | None, sequence_length: int | None) -> Iterator[ModelProfile]:
    """Yield what may answer: kept for all sizes, for this size, for some lengths, shipped."""
    if cache_folder().is_dir():
        sizes = (None,) if batch_size is None else (None, (batch_size, sequence_length))
        some_lengths = sorted(cache_folder().glob(f"{question.key}{_LENGTHS}*{_SUFFIX}"))
        for path in (*(_path(question, size) for size in sizes), *some_lengths):
            if (kept := _kept(path)) is not None:
                yield kept
    if (shipped := _shipped(question)) is not None:
        yield shipped


def keep(question: Question, profile: ModelProfile) -> Path | None:
    """Keep a profile for the next time; return its file, or None where the cache folder cannot be written.

    A cache that cannot be written makes the next answer slower, not wrong, so it is no error.
    """
    path = _place(question, profile)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        profile.save(path)
    except (OSError, DataError):
        return None
    return path


def shipped_questions() -> tuple[Question, ...]:
    """Return the questions whose answers come with flopcast, by file name.

    Raises
    ------
    DataError
        If a file in the folder has no name of a recorded profile.
    """
    names = sorted(entry.name for entry in shipped_folder().iterdir() if entry.name.endswith(_SUFFIX))
    return tuple(Question.of_file_name(name) for name in names)


def _path(question: Question, size: tuple[int, int | None] | None) -> Path:
    suffix = "" if size is None else f"-{size[0]}" + ("" if size[1] is None else f"-{size[1]}")
    return cache_folder() / f"{question.key}{suffix}{_SUFFIX}"


def _place(question: Question, profile: ModelProfile) -> Path:
    """Return where it is kept: beside others if it holds for some sizes only."""
    first, last = profile.trace.recording.lengths
    if profile.trace.symbolic and (first, last) != EVERYWHERE:
        return cache_folder() / f"{question.key}{_LENGTHS}{first}-{last or 'up'}{_SUFFIX}"
    return _path(question, None if profile.trace.symbolic else (profile.batch_size, profile.sequence_length))


def _kept(path: Path) -> ModelProfile | None:
    if not path.is_file():
        return None
    try:
        return ModelProfile.load(path)
    except DataError:
        # Written by another version or cut off: profiling anew writes it again.
        return None


def _shipped(question: Question) -> ModelProfile | None:
    name = question.file_name
    if name is None:
        return None
    entry = shipped_folder() / name
    if not entry.is_file():
        return None
    from profiles.profile_json import unpack

    return ModelProfile.from_json(unpack(entry.read_bytes(), name))


def _moved(
    profile: ModelProfile, batch_size: int | None, sequence_length: int | None, image_size: int | None
) -> ModelProfile | None:
    try:
        return profile.at(batch_size, sequence_length, image_size)
    except UsageError:
        # Not covered: the caller profiles at this size, or says why it cannot.
        return None
