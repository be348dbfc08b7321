"""From one trace to one for all sizes: the step is traced at further sizes until its growth is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial

from profiles.far_sizes import looked_far
from profiles.models.definition import Sizes
from profiles.sizes import NO_BOUNDS, Bounds, Kind, kinds_of, more_sizes
from profiles.thresholds import EVERYWHERE, range_text
from profiles.trace.step import StepFailed
from profiles.trace_record import OperationTrace, RawTrace, SizeDependent, check_same_calls, fit_growth, fold

TraceAt = Callable[[Sizes], RawTrace]


def grow(raw: RawTrace, trace_at: TraceAt, sizes: Sizes, bounds: Bounds = NO_BOUNDS) -> tuple[OperationTrace, str]:
    """Return the trace for all sizes if that can be proven, else for its own; and why it does not hold for all.

    Parameters
    ----------
    raw
        The step at `sizes`.
    trace_at
        Traces the step at another size; raises StepFailed where the model cannot be run there.
    sizes
        The size asked for.
    bounds
        Longest sequence that the model takes, and lengths at which it may begin to compute something else.
    """
    seen = cache(partial(_raw, trace_at))
    kinds = kinds_of(raw.operations)
    trace, note = _grown(raw, seen, sizes, bounds)
    if trace.recording.sequence_multiple == _kind_of(sizes, kinds).multiple:
        for kind in kinds:
            trace = trace if kind.holds(sizes.sequence_length or 1) else _with_kind(trace, kind, seen, sizes, bounds)
    return trace, note or _multiple_note(trace)


def _kind_of(sizes: Sizes, kinds: Sequence[Kind]) -> Kind:
    return next(kind for kind in kinds if kind.holds(sizes.sequence_length or 1))


def _with_kind(trace: OperationTrace, kind: Kind, seen: TraceAt, sizes: Sizes, bounds: Bounds) -> OperationTrace:
    """Add the lengths of another kind, where these can be proven too."""
    asked = sizes.sequence_length or 1
    below = kind.up_to(asked)
    near = replace(sizes, sequence_length=below if below >= trace.recording.lengths[0] else kind.beyond(asked))
    try:
        other, _ = _grown(seen(near), seen, near, bounds)
    except SizeDependent:
        return trace
    return trace.joined(other) if other.recording.sequence_multiple == kind.multiple else trace


def _grown(raw: RawTrace, seen: TraceAt, sizes: Sizes, bounds: Bounds) -> tuple[OperationTrace, str]:
    reason, kinds = "", kinds_of(raw.operations)
    short = "" if sizes.sequence_length is None else f"holds for sequences of {sizes.sequence_length} only"
    unlike = set[Sizes]()
    for others in more_sizes(sizes, bounds, kinds):
        if unlike & set(others):
            continue
        try:
            raws = [raw, *_traced(raw, seen, others, unlike)]
            but = _kind_of(sizes, kinds).but
            trace = fit_growth(raws, bounds.thresholds, but)
            if bounds.own_code:
                trace = looked_far(raws, seen, sizes, bounds.thresholds, but)
            return trace, _range_note(trace, bounds) if trace.recording.sequence_multiple else short
        except SizeDependent as refusal:
            reason = str(refusal)
            if len({each.sequence_length for each in others}) > 1:
                short = f"holds for sequences of {sizes.sequence_length} only: {refusal}"
    return fold(raw), short or f"holds for this size only: {reason}"


def _multiple_note(trace: OperationTrace) -> str:
    multiple = trace.recording.sequence_multiple
    return f"holds for sequences of multiples of {multiple}" if multiple > 1 and not trace.further else ""


def _range_note(trace: OperationTrace, bounds: Bounds) -> str:
    lengths = trace.current.lengths
    why = "its attention has a window" if bounds.thresholds else "it computes something else at others"
    return "" if lengths == EVERYWHERE else f"holds for sequences {range_text(lengths)}: {why}"


def _traced(first: RawTrace, trace_at: TraceAt, others: Sequence[Sizes], unlike: set[Sizes]) -> Iterator[RawTrace]:
    """Trace other sizes; refuse other calls at the first size that makes them, and remember it."""
    for sizes in others:
        try:
            other = trace_at(sizes)
            if (first.batch_size == 1) == (other.batch_size == 1):  # batch size 1 is a case of its own
                check_same_calls([first, other])
        except SizeDependent:
            unlike.add(sizes)
            raise
        yield other


def _raw(trace_at: TraceAt, sizes: Sizes) -> RawTrace:
    try:
        return trace_at(sizes)
    except StepFailed as failure:
        raise SizeDependent(f"the model cannot be traced at {sizes}: {failure}") from failure
