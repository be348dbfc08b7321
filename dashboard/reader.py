"""The process that reads an upload: `python -m dashboard.reader FILE PRECISION` prints a profile as JSON.

FILE lies alone in a folder; the process is locked into it before it looks at the file. Errors: on stderr, exit code 2.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from dashboard.isolation import isolate
from hardware_db.errors import DataError, FlopcastError, ModelError
from profiles.models.size_limits import check_sizes
from profiles.request import ProfileRequest

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

MOST_UNPACKED_BYTES: Final = 512 * 2**20
MOST_MEMBERS: Final = 20_000


def read(path: Path, precision: str) -> ModelProfile:
    """Return the profile in the file, or count the model that is in it.

    Raises
    ------
    FlopcastError
        it is neither, damaged, or beyond any model
    """
    kind = next((kind for kind in READERS if path.name.endswith(kind)), None)
    if kind is None:
        raise DataError(f"A file ending in {path.suffix or 'nothing'} is not read here. Known: {', '.join(READERS)}")
    return READERS[kind](path, precision)


def _json(path: Path, precision: str) -> ModelProfile:
    """Read a profile or, without its schema, a Hugging Face configuration."""
    from profiles.model_profile import ModelProfile
    from profiles.profile_json import unpack

    data = unpack(path.read_bytes(), path.name)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"It is no JSON: {str(error)[:200]}") from error
    if not isinstance(content, dict) or "model_type" not in content:
        return ModelProfile.from_json(data)
    check_sizes(content)
    return _counted(path, precision)


def _archive(path: Path, precision: str) -> ModelProfile:
    """Count a torch.export archive whose members are few, small once unpacked, and inside it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ModelError(f"It is no torch.export archive: {error}") from error
    size = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or size > MOST_UNPACKED_BYTES:
        raise ModelError(f"It unpacks to {len(members):,} files and {size / 2**20:,.0f} MiB, more than is read here")
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts:
            raise ModelError(f"Its member {member.filename[:80]!r} points out of the archive")
    return _counted(path, precision)


def _counted(path: Path, precision: str) -> ModelProfile:
    from profiles.definitions import profile_definition
    from profiles.models import resolve

    return profile_definition(resolve(path.name, base=path.parent), ProfileRequest(precision=precision))


READERS: Final[dict[str, Callable[[Path, str], ModelProfile]]] = {
    ".json": _json,
    ".json.gz": _json,
    ".pt2": _archive,
    ".onnx": _counted,
}


def main(file: str, precision: str) -> int:
    """Read one file; whatever goes wrong in a reader is the file's fault and said in one sentence."""
    path = Path(file).resolve()
    isolate(path.parent)
    try:
        print(read(path, precision).to_json())
    except FlopcastError as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print("It needs more memory than reading an upload may take", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"It cannot be read: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
