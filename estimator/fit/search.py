"""Finds the ways to make a step fit: single changes, and the smallest combinations that fit where none alone does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Final

from estimator.fit.changes import Change, changes_for, combined, go_together
from estimator.fit.cheapest import CheapestBlocks, cheapest_blocks
from estimator.fit.costs import Costs, ratio
from estimator.fit.result import Fit, Way
from estimator.fit.sizes import Room, found_device, room_of
from estimator.memory import MemoryNeed, MemorySettings, host_of
from estimator.memory.eight_bit import FLOAT8
from estimator.ranges import Range
from estimator.run import batch_multiple
from hardware_db.errors import UnknownPrecision, UsageError
from profiles.layers import fold_paths

if TYPE_CHECKING:
    from hardware_db import Database, Device
    from profiles.model_profile import ModelProfile

MOST_CHANGES: Final = 4
MOST_CHOSEN: Final = 3
"""Ways with checkpointing for which the cheapest blocks are sought."""

MOST_WAYS: Final = 8
"""Combinations shown; single changes are all shown."""

_LONG: Final = 1e9


def fit(
    profile: ModelProfile | Sequence[ModelProfile],
    device: Device | str,
    count: int = 1,
    *,
    micro_batch_size: int | None = None,
    sequence_length: int | None = None,
    settings: MemorySettings | None = None,
    database: Database | None = None,
) -> Fit:
    """Say whether a step fits a device, how large it can be, and what would make it fit.

    Parameters
    ----------
    profile
        one step of the model; of several recordings the first is how it runs now, the others (another precision,
        optimizer or attention) are ways to change that
    device
        exact id, name or alias of a device in the database, or a device of your own
    count
        devices; each runs its own samples
    micro_batch_size
        samples of a device at a time; default the smallest that the profile covers
    sequence_length
        tokens of a sample; default the profile's
    settings
        how the step is run now, over `count` devices unless it says how many; default as recorded
    database
        the hardware database; default the published one

    Raises
    ------
    UnknownDevice
        no device, or several, have this name
    UsageError
        the capacity of the device is unknown, or the profile does not cover the size

    Examples
    --------
    >>> found = fit(profile, "l4")
    >>> found.as_it_is, found.fits, found.ways[0].changes
    (False, True, ('full checkpointing', '8-bit AdamW'))
    """
    if count < 1:
        raise UsageError(f"count must be 1 or more; given: {count}")
    found = found_device(device, database)
    room, replicas = room_of(found), count * found.logical_devices
    given = profile if isinstance(profile, Sequence) else [profile]
    sized = [_sized(each, micro_batch_size, sequence_length) for each in given]
    now = settings or MemorySettings()
    return _Question(room, sized, now if now.replicas > 1 else replace(now, replicas=replicas)).answer(count)


def _notes(profile: ModelProfile, device: Device) -> Iterator[str]:
    if not device.supports(profile.precision):
        yield f"no {profile.precision} peak of {device.id} is published: memory is counted, time is not known"
    if profile.precision == FLOAT8 and profile.mode == "train":
        yield (
            "float8: copies of weights in 8 bits as Transformer Engine keeps them (torchao's makes them anew); "
            "activations counted in 16 bits, an upper end"
        )


def _sized(profile: ModelProfile, micro_batch_size: int | None, sequence_length: int | None) -> ModelProfile:
    if micro_batch_size is None:
        micro_batch_size = 1 if profile.trace.single is not None else batch_multiple(profile)
    return profile.at(micro_batch_size, sequence_length)


def _order(way: Way) -> tuple[bool, float, int]:
    return (not way.fits, way.time.mid if way.time else _LONG, len(way.changes))


def _blocks_text(chosen: CheapestBlocks) -> str:
    """Name the blocks, equal ones folded: "h.[0-4] in full, h.[5-8] selectively"."""
    words = {"full": "in full", "selective": "selectively"}
    return ", ".join(f"{path} {words[how]}" for path, how in fold_paths(dict(chosen.blocks)))


@dataclass(frozen=True)
class _Question:
    room: Room
    profiles: Sequence[ModelProfile]
    settings: MemorySettings

    @cached_property
    def now(self) -> MemoryNeed:
        """What a device must hold as it is."""
        return self.room.need(self.profiles[0], self.settings)

    @cached_property
    def _costs(self) -> list[Costs]:
        """Times of the recordings."""
        return [Costs(profile, self.room.device) for profile in self.profiles]

    def answer(self, count: int) -> Fit:
        """Return what is needed, how large it can be, and the ways."""
        profile = self.profiles[0]
        return Fit(
            profile=profile,
            settings=self.settings,
            device=self.room.device,
            count=count,
            need=self.now,
            host=host_of(profile, self.settings, self.room.device),
            largest_micro_batch=self.room.largest_batch(profile, self.settings),
            longest_sequence=self.room.longest_sequence(profile, self.settings),
            most_layers=self.room.deepest(profile, self.settings),
            ways=tuple(self.ways()),
            notes=tuple(_notes(profile, self.room.device)),
        )

    def ways(self) -> list[Way]:
        """Single changes that save, then combinations, the best first."""
        possible = changes_for(self.profiles, self.settings, self.room.device.devices_per_host)
        sizes = {change: self._size((change,)) for change in possible}
        known = {change: size for change, size in sizes.items() if size is not None and self._useful(change, size)}
        found = [self._way((change,)) for change, size in known.items() if size < self.now.total_bytes]
        found += [
            self._way(changes)
            for changes in list(self._combined([change for change in known if change.combines]))[:MOST_WAYS]
        ]
        return sorted([*found, *self._fewer_blocks(found)], key=_order)

    def _fewer_blocks(self, ways: Sequence[Way]) -> list[Way]:
        """Return ways with checkpointing that fit, with the cheapest blocks instead of all; none if all fits as is."""
        if self._fits(()):
            return []
        wide = sorted((way for way in ways if way.fits and way.settings.checkpointing != "none"), key=_order)
        found: dict[MemorySettings, Way] = {}
        for way in wide[:MOST_CHOSEN]:
            sure = way.need.verdict == "fits"
            chosen = cheapest_blocks(way.profile, self.room.device, settings=way.settings, sure=sure)
            if chosen is not None and 0 < len(chosen.blocks) < chosen.of:
                found.setdefault(chosen.settings, self._with_blocks(way, chosen))
        return [way for way in found.values() if way.time and way.time.mid > 0]

    def _with_blocks(self, way: Way, chosen: CheapestBlocks) -> Way:
        costs = Costs(way.profile, self.room.device).seconds(chosen.settings)
        label = f"checkpointing of {len(chosen.blocks)} of {chosen.of} blocks"
        return replace(
            way,
            changes=tuple(label if "checkpointing" in change else change for change in way.changes),
            settings=chosen.settings,
            need=chosen.need,
            saved_bytes=self.now.total_bytes - chosen.need.total_bytes,
            time=ratio(costs, self._costs[0].seconds(self.settings)),
            largest_micro_batch=self.room.largest_batch(way.profile, chosen.settings),
            notes=(*way.notes, f"cheapest blocks: {_blocks_text(chosen)}"),
        )

    def _useful(self, change: Change, size: int) -> bool:
        """Whether it may help: a recording that takes as much as this one helps in no combination either."""
        return change.profile is None or size < self.now.total_bytes

    def _size(self, changes: Sequence[Change]) -> int | None:
        """Bytes that a device must hold with the changes made; None where the model cannot be run so."""
        try:
            return self.room.need(self._profile(changes), combined(changes, self.settings)).total_bytes
        except UsageError:
            return None

    def _profile(self, changes: Sequence[Change]) -> ModelProfile:
        return self.profiles[self._recording(changes)]

    def _recording(self, changes: Sequence[Change]) -> int:
        return next((change.profile for change in changes if change.profile is not None), 0)

    def _combined(self, changes: Sequence[Change]) -> Iterator[tuple[Change, ...]]:
        """Yield combinations that fit although no part of them does, fewest changes first, and fastest of as many."""
        if self._fits(()):
            return
        fitting = [frozenset({change.label}) for change in changes if self._fits((change,))]
        for number in range(2, MOST_CHANGES + 1):
            level = []
            for chosen in combinations(changes, number):
                labels = frozenset(change.label for change in chosen)
                if not any(part <= labels for part in fitting) and go_together(chosen) and self._fits(chosen):
                    level.append(chosen)
            fitting += [frozenset(change.label for change in chosen) for chosen in level]
            yield from sorted(level, key=self._slowness)
            if len(fitting) >= MOST_WAYS:
                return

    def _fits(self, changes: Sequence[Change]) -> bool:
        size = self._size(changes)
        return size is not None and size <= self.room.capacity_bytes

    def _slowness(self, changes: Sequence[Change]) -> float:
        time = self._time(changes)
        return time.mid if time else _LONG

    def _time(self, changes: Sequence[Change]) -> Range | None:
        """Time of the step with the changes over that of the step as it is, end by end."""
        try:
            before = self._costs[0].seconds(self.settings)
            after = self._costs[self._recording(changes)].seconds(combined(changes, self.settings))
        except (UnknownPrecision, UsageError):
            return None
        return ratio(after, before)

    def _way(self, changes: Sequence[Change]) -> Way:
        profile, settings = self._profile(changes), combined(changes, self.settings)
        need = self.room.need(profile, settings)
        return Way(
            changes=tuple(change.label for change in changes),
            settings=settings,
            profile=profile,
            need=need,
            saved_bytes=self.now.total_bytes - need.total_bytes,
            time=self._time(changes),
            largest_micro_batch=self.room.largest_batch(profile, settings),
            notes=tuple(change.note for change in changes if change.note),
        )
