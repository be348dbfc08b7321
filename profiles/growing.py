"""From one trace to one for all sizes: the step is traced at further sizes until its growth is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
    for others in more_sizes(sizes, bounds, raw.operations):
        try:
            raws = [raw, *_traced(raw, trace_at, others, hasty=bool(bounds.thresholds))]
            trace = fit_growth(raws, bounds.thresholds)
            return trace, _range_note(trace) if trace.recording.sequence_multiple else reason
        except SizeDependent as refusal:
            reason = f"holds for sequences of {sizes.sequence_length} only: {refusal}"
    return fold(raw), reason.replace("for sequences of None only", "for this size only")


def _range_note(trace: OperationTrace) -> str:
    lengths = trace.current.lengths
    return "" if lengths == EVERYWHERE else f"holds for sequences {range_text(lengths)}: its attention has a window"


def _traced(first: RawTrace, trace_at: TraceAt, others: Sequence[Sizes], hasty: bool) -> Iterator[RawTrace]:
    """Trace other sizes; in haste, refuse other calls at the first size that makes them, which are often the first."""
    for sizes in others:
        other = _raw(trace_at, sizes)
        if hasty and (first.batch_size == 1) == (other.batch_size == 1):  # batch size 1 is a case of its own
            check_same_calls([first, other])
        yield other


def _raw(trace_at: TraceAt, sizes: Sizes) -> RawTrace:
    try:
        return trace_at(sizes)
    except StepFailed as failure:
        raise SizeDependent(f"the model cannot be traced at {sizes}: {failure}") from failure
