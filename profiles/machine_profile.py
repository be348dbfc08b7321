"""What was timed on one machine: the record that `flopcast benchmark` writes, schema 1. Nothing here needs torch.

A machine profile keeps what was observed (every repeat of every case, with the operations that ran) beside what was
fitted to it, so that better formulas can be fitted to old measurements, and anyone can check both.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from hardware_db.errors import DataError
from profiles.records import Operation

SCHEMA: Final = 1
MOST_BYTES: Final = 50 * 10**6
Kind = Literal["cpu", "gpu"]

FAMILIES: Final = (
    "matmul",
    "convolution",
    "attention",
    "recurrent",
    "elementwise",
    "normalisation",
    "softmax",
    "reduction",
    "pooling",
    "random",
    "embedding",
    "optimizer",
    "copy",
    "host to device",
    "device to host",
    "fresh memory",
    "launch",
    "collective",
    "training step",
)
"""What can be timed."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One case: what ran, and how long each repeat took.

    Attributes
    ----------
    name
        what ran, unique in a profile: "matmul float32 1024x1024x1024"
    family
        one of `FAMILIES`
    precision
        in which the operation computes: float32, tf32, bfloat16 ...
    seconds
        of one call, one figure a repeat, warm-up left out; on a CPU without the time that other programs took
    wall_seconds
        the same by the clock on the wall
    flops, moved_bytes
        of one call; one multiply-add is 2 FLOPs
    operations
        the calls of the framework below it, one record a distinct one
    processes
        how many ran it together (collectives)
    stable
        whether two estimates agreed within the tolerance before time was up
    note
        what a reader should know of this figure
    """

    name: str
    family: str
    precision: str
    seconds: tuple[float, ...]
    wall_seconds: tuple[float, ...] = ()
    flops: int = 0
    moved_bytes: int = 0
    operations: tuple[Operation, ...] = ()
    processes: int = 1
    stable: bool = True
    note: str = ""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.family!r} is no family of timings")
        if not self.seconds or any(not math.isfinite(each) or each <= 0 for each in self.seconds):
            raise ValueError(f"{self.name} needs at least one time above 0")
        if min(self.flops, self.moved_bytes) < 0 or self.processes < 1:
            raise ValueError(f"{self.name} has a negative amount of work")

    @property
    def median_s(self) -> float:
        """Median of the repeats in seconds."""
        return statistics.median(self.seconds)

    @property
    def typical_s(self) -> float:
        """Median of the faster half of the repeats in seconds: other load only ever adds time."""
        return statistics.median(sorted(self.seconds)[: (len(self.seconds) + 1) // 2])

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles over the median; 0 with a single repeat."""
        if len(self.seconds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (third - first) / 2 / self.median_s

    @property
    def flops_per_s(self) -> float | None:
        """FLOP/s of the median repeat; None for a case without FLOPs."""
        return self.flops / self.median_s if self.flops else None

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes/s of the median repeat; None for a case that moves nothing."""
        return self.moved_bytes / self.median_s if self.moved_bytes else None


@dataclass(frozen=True, slots=True)
class FittedFigure:
    """One parameter fitted to the timings of a profile.

    `error` is the median absolute relative residual of the `cases` timings that it was fitted to.
    """

    name: str
    value: float
    unit: str
    error: float
    cases: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured.

    Attributes
    ----------
    device
        id in the hardware database; None where it is not known there
    reported
        as the system or the driver calls it
    kind
        "cpu" or "gpu"
    architecture
        by which siblings are found; "" where unknown
    units
        physical cores in use, or multiprocessors
    threads
        with which a CPU was measured; None on a GPU
    memory_bytes
        that the machine or card has
    driver
        version; "" on a CPU
    versions
        (package, version) of what decides the times
    """

    device: str | None
    reported: str
    kind: Kind
    architecture: str = ""
    units: float | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    driver: str = ""
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class MachineProfile:
    """All timings of one device on one day.

    Attributes
    ----------
    machine
        what was measured
    recorded_at
        when, ISO 8601 with time zone
    mode
        "quick" or "full"
    timings
        what was observed
    figures
        what was fitted to it
    notes
        what disturbed it (other load, clocks, throttling) and what was left out
    complete
        whether it was not interrupted
    left_out
        how many cases there was no time for
    """

    machine: Machine
    recorded_at: str
    mode: Literal["quick", "full"]
    timings: tuple[Timing, ...]
    figures: tuple[FittedFigure, ...] = ()
    notes: tuple[str, ...] = ()
    complete: bool = True
    left_out: int = 0
    schema: Literal[1] = field(default=SCHEMA)

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.recorded_at)
        names = [timing.name for timing in self.timings]
        if len(set(names)) < len(names):
            raise ValueError("two timings have the same name")

    @property
    def date(self) -> str:
        """The day of the recording, YYYY-MM-DD."""
        return self.recorded_at[:10]

    @property
    def whole(self) -> bool:
        """Whether every case was timed: neither was it stopped, nor was time up."""
        return self.complete and not self.left_out

    def figure(self, name: str) -> float | None:
        """Return a fitted value, or None where it was not fitted."""
        return next((each.value for each in self.figures if each.name == name), None)

    @property
    def values(self) -> dict[str, float]:
        """Fitted values by name."""
        return {each.name: each.value for each in self.figures}

    def of_family(self, *families: str) -> Iterator[Timing]:
        """Yield the timings of these families."""
        return (timing for timing in self.timings if timing.family in families)

    def to_json(self) -> str:
        """Return the profile as JSON text that `from_json` reads."""
        document = {"schema": SCHEMA, **_without_defaults(self)}
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "The text") -> MachineProfile:
        """Read a profile; `source` names it in error messages.

        Raises
        ------
        DataError
            If it is no machine profile of this schema, or one that contradicts itself.
        """
        if len(text) > MOST_BYTES:
            raise DataError(f"{source} is larger than {MOST_BYTES // 10**6} MB; no machine profile is")
        document = _document(text, source)
        try:
            profile = msgspec.convert(document, MachineProfile)
            _refuse_surprises(document)
        except ValueError as error:
            raise DataError(f"{source} is no sound machine profile: {error}") from error
        return profile

    def save(self, path: Path) -> None:
        """Write the profile whole or not at all.

        Raises
        ------
        DataError
            If the folder cannot be written.
        """
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(self.to_json(), encoding="utf-8")
            os.replace(part, path)
        except OSError as error:
            raise DataError(f"The machine profile cannot be written to {path}: {error.strerror or error}") from error
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> MachineProfile:
        """Read a file.

        Raises
        ------
        DataError
            If it cannot be read or is no machine profile.
        """
        try:
            return cls.from_json(path.read_bytes(), str(path))
        except OSError as error:
            raise DataError(f"The machine profile {path} cannot be read: {error.strerror or error}") from error


def _document(text: str | bytes, source: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is no JSON: {error}") from error
    if not isinstance(found, dict) or "timings" not in found:
        raise DataError(f"{source} is no machine profile. Make one with: flopcast benchmark -o FILE")
    if found.get("schema") != SCHEMA:
        raise DataError(f"{source} has schema {found.get('schema')!r}; this flopcast reads {SCHEMA}. Benchmark again")
    return found


msgspec.json.Decoder(MachineProfile)
# msgspec looks at a type once and keeps what it saw; two threads that do so at once end the interpreter (0.22).


def _refuse_surprises(document: dict[str, Any]) -> None:
    """Raise ValueError for fields that a record does not have: msgspec passes over those of a dataclass."""
    records = {MachineProfile: [document], Machine: [document["machine"]]}
    records |= {Timing: document["timings"], FittedFigure: document.get("figures", [])}
    for kind, rows in records.items():
        known = {each.name for each in fields(kind)}
        for row in rows:
            if surprising := sorted(set(row) - known):
                raise ValueError(f"{kind.__name__} has no field {surprising[0]!r}")


def _without_defaults(value: Any) -> Any:
    """Return a record as plain values that JSON knows; fields that have their default are left out."""
    if isinstance(value, (tuple, list)):
        return [_without_defaults(each) for each in value]
    if not is_dataclass(value):
        return value
    pairs = ((each, getattr(value, each.name)) for each in fields(value))
    return {each.name: _without_defaults(found) for each, found in pairs if found != each.default}


def bare(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return operations without tensors and places, equal ones as one with a count: what times depend on."""
    from dataclasses import replace

    counts: dict[Operation, int] = {}
    for operation in operations:
        key = replace(operation, inputs=(), outputs=(), module="", source="", count=1)
        counts[key] = counts.get(key, 0) + operation.count
    return tuple(replace(operation, count=count) for operation, count in counts.items())
