"""From one trace to one for all sizes: the step is traced at further sizes until its growth is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

from profiles.models.definition import Sizes
from profiles.sizes import NO_BOUNDS, Bounds, more_sizes
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
    reason = ""
    short = "" if sizes.sequence_length is None else f"holds for sequences of {sizes.sequence_length} only"
    seen, unlike = cache(partial(_raw, trace_at)), set[Sizes]()
    for others in more_sizes(sizes, bounds, raw.operations):
        if unlike & set(others):
            continue
        try:
            raws = [raw, *_traced(raw, seen, others, unlike)]
            trace = fit_growth(raws, bounds.thresholds)
            return trace, _range_note(trace) if trace.recording.sequence_multiple else short
        except SizeDependent as refusal:
            reason = str(refusal)
            if len({each.sequence_length for each in others}) > 1:
                short = f"holds for sequences of {sizes.sequence_length} only: {refusal}"
    return fold(raw), short or f"holds for this size only: {reason}"


def _range_note(trace: OperationTrace) -> str:
    lengths = trace.current.lengths
    return "" if lengths == EVERYWHERE else f"holds for sequences {range_text(lengths)}: its attention has a window"


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
