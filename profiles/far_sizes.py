"""What was proven at small sizes looked at far away: code of a user may do something else at sizes nobody named.

`min(length, 256)`, `if batch >= 32` and chunks of 64 leave no trace at small sizes, and no configuration tells of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from profiles.models.definition import Sizes
from profiles.trace_record import OperationTrace, RawTrace, Recording, SizeDependent, fit_growth

BATCH = 1_027
"""Above usual limits and chunks, and no multiple of any of them."""
LENGTHS = (4_099, 4_096, 2_048, 1_024, 512)
"""Tried from the longest on: what holds at the first does so for all, at another (usual limits) up to it."""


def looked_far(
    raws: Sequence[RawTrace], seen: Callable[[Sizes], RawTrace], sizes: Sizes, thresholds: Collection[int], but: int = 0
) -> OperationTrace:
    """Return the trace of runs at small sizes, held against one of a large batch and one of a long sequence.

    Parameters
    ----------
    raws
        Runs at small sizes, which follow a law.
    seen
        Traces another size.
    sizes
        The size asked for.
    thresholds
        Lengths at which the model is known to change.
    but
        Multiples of this are lengths of other calls.

    Raises
    ------
    SizeDependent
        The model does something else in large batches; a sequence only bounds the lengths of the trace.
    """
    lengths = sorted({raw.sequence_length for raw in raws if raw.sequence_length is not None})
    near = lengths[:2][-1] if lengths else None  # a third batch of the shortest would prove nothing new
    try:
        known = [*raws, seen(replace(sizes, batch_size=BATCH, sequence_length=near))]
        trace = fit_growth(known, thresholds, but)
    except SizeDependent as refusal:
        raise SizeDependent(f"in batches of {BATCH:,} the model computes something else: {refusal}") from refusal
    if not trace.recording.sequence_multiple:
        return trace
    for longest in _lengths(trace.recording, raws):
        ends = () if longest == _reachable(trace.recording, LENGTHS[0]) else (longest + 1,)
        try:
            far = seen(replace(sizes, batch_size=2, sequence_length=longest))
            return fit_growth([*known, far], (*thresholds, *ends), but)
        except SizeDependent:
            continue
    return fit_growth(known, (*thresholds, max(raw.sequence_length or 0 for raw in raws) + 1), but)


def _lengths(recording: Recording, raws: Sequence[RawTrace]) -> Iterator[int]:
    """Lengths to try, beyond those traced and inside of the model's own limits."""
    traced, last = max(raw.sequence_length or 0 for raw in raws), recording.lengths[1]
    reachable = (_reachable(recording, length) for length in LENGTHS)
    yield from (length for length in reachable if length > traced and (last is None or length <= last))


def _reachable(recording: Recording, length: int) -> int:
    """Return the longest length of the recording's kind that is no longer than this."""
    multiple = recording.sequence_multiple
    near = length // multiple * multiple
    return near - multiple if recording.but and near % recording.but == 0 else near
