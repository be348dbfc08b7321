"""The recorded moments of a step as arrays: live bytes by holder, phase and module of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hardware_db.errors import DataError
from profiles.records import PHASES
from profiles.timeline import HOLDERS

if TYPE_CHECKING:
    from profiles.growth import Integers
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

PARAMETER, BUFFER, GRADIENT, STATE, INPUT, ACTIVATION = range(len(HOLDERS))
"""Columns of the live bytes."""

FORWARD, BACKWARD, OPTIMIZER = range(len(PHASES))
_NUMBERS: Final = {phase: number for number, phase in enumerate(PHASES)}


@dataclass(frozen=True, eq=False)
class Outline:
    """What no size changes: which polynomial fills which cell, phase and module of every moment in order."""

    rows: NDArray[np.intp]
    phases: NDArray[np.intp]
    modules: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of a step at one size.

    Attributes
    ----------
    outline
        phase and module of each
    live
        (moments, holders) bytes, columns in the order of `profiles.timeline.HOLDERS`
    """

    outline: Outline
    live: Integers


@lru_cache(maxsize=64)
def outline_of(recording: Recording) -> Outline:
    """Return phases and modules of the moments of a recording."""
    moments = recording.timeline.moments
    rows = np.array([rows for *_, rows in moments], dtype=np.intp).reshape(-1, len(HOLDERS))
    phases = np.array([_NUMBERS[phase] for _, phase, _, _ in moments], dtype=np.intp)
    return Outline(rows, phases, tuple(module for _, _, module, _ in moments))


def moments_of(profile: ModelProfile) -> Moments:
    """Return the moments of a profile at its size.

    Raises
    ------
    DataError
        If the profile was made without a timeline of live bytes.
    """
    found = _moments_at(profile.trace.current, profile.batch_size, profile.sequence_length)
    if not len(found.live):
        raise DataError(f"The profile of {profile.model} has no record of memory; profile the model again")
    return found


@lru_cache(maxsize=64)
def _moments_at(recording: Recording, batch_size: int, sequence_length: int | None) -> Moments:
    outline = outline_of(recording)
    sizes = recording.timeline.sizes.at(batch_size, sequence_length)
    return Moments(outline, sizes[outline.rows])
