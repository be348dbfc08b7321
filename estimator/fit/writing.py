"""Whether a model fits a device while it writes text, how much of it at once, and what would make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from estimator.fit.sizes import MOST, found_device, largest, room_of
from estimator.memory.generation import Generation, GenerationNeed, generation_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Database, Device
    from profiles.model_profile import ModelProfile

MOST_WAYS: Final = 8
SPREAD: Final = "over {0} devices: every layer divided (tensor parallel); how long they wait for each other is not told"

FEW_BITS: Final = (
    (
        "int8 weights",
        8.0,
        "int8 weights: a byte each, scales of rows left out (Dettmers et al., 2022, arXiv:2208.07339)",
    ),
    ("4-bit weights", 4.127, "4-bit weights: NF4 with its scales (Dettmers et al., 2023, arXiv:2305.14314)"),
)


@dataclass(frozen=True, slots=True)
class WritingChange:
    """One change to how text is written; of a group only one can be made."""

    label: str
    group: str
    fields: tuple[tuple[str, Any], ...]
    note: str


@dataclass(frozen=True, slots=True)
class WritingWay:
    """One or several changes.

    Attributes
    ----------
    changes
        what is changed, in words
    how, need
        how text is then written, and what one device must hold
    saved_bytes
        less than as it is
    time
        bytes read for a token over those as it is, which bounds the time of a token; None where devices share layers
    most_sequences
        that fit at once then; None: not even one
    notes
        what the reader should know
    """

    changes: tuple[str, ...]
    how: Generation
    need: GenerationNeed
    saved_bytes: int
    time: float | None
    most_sequences: int | None
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether it more likely fits than not."""
        return self.need.peak.likely_fits

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "changes": list(self.changes),
            **_needed(self.need),
            "saved_bytes": self.saved_bytes,
            "time_ratio": self.time,
            "most_sequences": self.most_sequences,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, repr=False)
class WritingFit:
    """Whether a model fits while it writes text.

    Attributes
    ----------
    profile
        its forward pass
    device, count
        the devices; each writes its own sequences
    how, need
        how text is written, and what one device must hold
    most_sequences, longest_context
        that fit as it is; None: not even one
    ways
        changes that hold less, those that fit first
    """

    profile: ModelProfile
    device: Device
    count: int
    how: Generation
    need: GenerationNeed
    most_sequences: int | None
    longest_context: int | None
    ways: tuple[WritingWay, ...]

    @property
    def as_it_is(self) -> bool:
        """Whether it fits without a change."""
        return self.need.peak.likely_fits

    @property
    def fits(self) -> bool:
        """Whether it fits as it is or in one of the ways."""
        return self.as_it_is or any(way.fits for way in self.ways)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know."""
        return self.need.cache.notes

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "model": self.profile.model,
            "device": self.device.id,
            "count": self.count,
            "mode": "generation",
            "sequences": self.how.batch_size,
            "context_length": self.how.context_length,
            "prompt_length": self.how.prompt,
            "precision": self.profile.precision,
            "fits_as_it_is": self.as_it_is,
            "capacity_bytes": self.need.peak.capacity_bytes,
            **_needed(self.need),
            "fits": self.fits,
            "memory": self.need.peak.parts,
            "prefill_bytes": self.need.prefill.total_bytes,
            "decode_bytes": self.need.decode.total_bytes,
            "cache_bytes_per_token": bytes_per_token(self.need, self.how),
            "most_sequences": self.most_sequences,
            "longest_context": self.longest_context,
            "ways": [way.to_dict() for way in self.ways],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        from estimator.text.writing import writing_text

        return writing_text(self)


def bytes_per_token(need: GenerationNeed, how: Generation) -> float:
    """Return the keys and values of one token of one sequence on one device, mean over the context."""
    return need.cache_bytes / (how.batch_size * how.context_length)


def _needed(need: GenerationNeed) -> dict[str, Any]:
    peak = need.peak
    return {
        **peak.to_dict(),
        "cache_bytes": need.cache_bytes,
        "weight_bytes": need.weight_bytes,
        "phase": peak.phase,
    }


def fit_generation(
    profile: ModelProfile,
    device: Device | str,
    count: int = 1,
    *,
    how: Generation | None = None,
    database: Database | None = None,
) -> WritingFit:
    """Say whether a model fits a device while it writes text, how much it can write at once, and what would help.

    Parameters
    ----------
    profile
        the forward pass of the model (`profile_model(..., mode="forward")`)
    device
        exact id, name or alias of a device in the database, or a device of your own
    count
        devices; each writes its own sequences, or (as a way to make it fit) several share the layers
    how
        sequences, tokens; default one sequence as long as the profile's
    database
        the hardware database; default the published one

    Raises
    ------
    UnknownDevice
        no device, or several, have this name
    UsageError
        the device's capacity is unknown, or the model writes no text

    Examples
    --------
    >>> found = fit_generation(profile, "l4", how=Generation(context_length=8192, batch_size=4))
    >>> found.fits, found.most_sequences
    (True, 5)
    """
    if count < 1:
        raise UsageError(f"count must be 1 or more; given: {count}")
    found = found_device(device, database)
    room, replicas = room_of(found), count * found.logical_devices
    now = how or Generation(context_length=profile.sequence_length or 1)
    question = _Writing(profile, room.device)
    need = question.need(now)
    return WritingFit(
        profile=profile,
        device=room.device,
        count=count,
        how=now,
        need=need,
        most_sequences=question.most_sequences(now),
        longest_context=question.longest_context(now),
        ways=tuple(question.ways(now, need, replicas)),
    )


def changes_for(how: Generation, replicas: int) -> list[WritingChange]:
    """Return the changes that make sense on so many devices."""
    few = [WritingChange(label, "weights", (("weight_bits", bits),), note) for label, bits, note in FEW_BITS]
    cache = WritingChange(
        "float8 keys and values", "cache", (("cache_precision", "float8"),), "float8 keys and values: scales left out"
    )
    shares = [number for number in range(2, replicas + 1) if replicas % number == 0]
    split = [
        WritingChange(f"over {number} devices", "split", (("tensor_parallel", number),), SPREAD.format(number))
        for number in shares
    ]
    return [*(few if how.weight_bits is None else []), *([cache] if how.cache_precision is None else []), *split]


@dataclass(frozen=True)
class _Writing:
    profile: ModelProfile
    device: Device

    def need(self, how: Generation) -> GenerationNeed:
        return generation_of(self.profile, how, self.device)

    def most_sequences(self, how: Generation) -> int | None:
        return self._most(how, "batch_size", max(1, self.profile.trace.recording.batch_multiple), MOST)

    def longest_context(self, how: Generation) -> int | None:
        given = replace(how, prompt_length=None) if how.prompt_length is None else replace(how, prompt_length=1)
        return self._most(given, "context_length", 1, self.profile.sequence_limit or MOST)

    def _most(self, how: Generation, name: str, unit: int, limit: int) -> int | None:
        def holds(size: int) -> bool:
            sized = replace(how, batch_size=size) if name == "batch_size" else replace(how, context_length=size)
            return self.need(sized).peak.likely_fits

        return largest(unit, limit, holds)

    def ways(self, how: Generation, now: GenerationNeed, replicas: int) -> list[WritingWay]:
        changes = [each for each in changes_for(how, replicas) if each.group != "cache" or now.cache.parts]
        single = [self._way((change,), how, now) for change in changes]
        found = [way for way in single if way.saved_bytes > 0]
        if not now.peak.likely_fits:
            found += list(self._combined(changes, how, now))[:MOST_WAYS]
        return sorted(found, key=lambda way: (not way.fits, len(way.changes), way.time is None, way.time or 0.0))

    def _combined(self, changes: Sequence[WritingChange], how: Generation, now: GenerationNeed) -> Iterator[WritingWay]:
        """Yield combinations that fit although no part of them does."""
        fitting: list[frozenset[str]] = []
        for number in range(1, len({change.group for change in changes}) + 1):
            for chosen in combinations(changes, number):
                labels = frozenset(change.label for change in chosen)
                if len({change.group for change in chosen}) < number or any(part <= labels for part in fitting):
                    continue
                way = self._way(chosen, how, now)
                if way.fits:
                    fitting.append(labels)
                    if number > 1:
                        yield way

    def _way(self, changes: Sequence[WritingChange], how: Generation, now: GenerationNeed) -> WritingWay:
        fields = dict(pair for change in changes for pair in change.fields)
        changed = replace(how, **fields)
        need = self.need(changed)
        return WritingWay(
            changes=tuple(change.label for change in changes),
            how=changed,
            need=need,
            saved_bytes=now.peak.total_bytes - need.peak.total_bytes,
            time=None if "tensor_parallel" in fields else need.read_bytes / now.read_bytes,
            most_sequences=self.most_sequences(changed),
            notes=tuple(change.note for change in changes),
        )
