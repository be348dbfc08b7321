"""From one trace to one for all sizes: the step is traced at further sizes until its growth is proven."""

from __future__ import annotations

from collections.abc import Callable

from profiles.models.definition import Sizes
from profiles.sizes import more_sizes
from profiles.trace.step import StepFailed
from profiles.trace_record import OperationTrace, RawTrace, SizeDependent, fit_growth, fold

TraceAt = Callable[[Sizes], RawTrace]


def grow(raw: RawTrace, trace_at: TraceAt, sizes: Sizes, limit: int | None = None) -> tuple[OperationTrace, str]:
    """Return the trace for all sizes if that can be proven, else for its own; and why it does not hold for all.

    Parameters
    ----------
    raw
        The step at `sizes`.
    trace_at
        Traces the step at another size; raises StepFailed where the model cannot be run there.
    sizes
        The size asked for.
    limit
        Longest sequence that the model takes.
    """
    reason = ""
    for others in more_sizes(sizes, limit, raw.operations):
        try:
            return fit_growth([raw, *(_raw(trace_at, other) for other in others)]), reason
        except SizeDependent as refusal:
            reason = f"holds for sequences of {sizes.sequence_length} only: {refusal}"
    return fold(raw), reason.replace("for sequences of None only", "for this size only")


def _raw(trace_at: TraceAt, sizes: Sizes) -> RawTrace:
    try:
        return trace_at(sizes)
    except StepFailed as failure:
        raise SizeDependent(f"the model cannot be traced at {sizes}: {failure}") from failure
