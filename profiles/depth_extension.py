"""From a trace with few layers to the trace with all: equal layers are traced once; the rest is proven, not assumed.

Between two moments the live bytes change; equal layers change them equally. So the calls of the upper period are
counted once more for every period that the short model lacks, and its changes are repeated. What does not follow the
layers one by one, the parameters and the optimizer that works on all of them at once, is a straight line through two
traces that differ by one period. The second of these is also the proof: the shorter one, extended by one period, must
be equal to it in every call and every moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from profiles.depth import Layers, NotPeriodic, Span, call_of, spans_of
from profiles.layers import expand_path, layer_count
from profiles.operation_trace import numbers_of, with_numbers
from profiles.records import Operation, Phase
from profiles.timeline import LiveTable
from profiles.trace.ledger import Moment
from profiles.trace.owned import Parameters
from profiles.trace.step import StepTrace

Changes = NDArray[np.int64]
Seen = tuple[int, Phase, str]
"""Of a moment: calls recorded by then, phase and module."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How a step grows with every further period of layers, learnt from two traces of one size.

    start       change of the live bytes at the start of the step
    optimizer   calls of the optimizer: (with the short model, with the longer one)
    changes     change of what the optimizer changes at each of its moments; None where it goes parameter by parameter
    """

    layers: Layers
    start: Changes
    optimizer: tuple[list[Operation], list[Operation]]
    changes: Changes | None


def learn(short: StepTrace, longer: StepTrace, layers: Layers) -> Growth:
    """Compare a trace with one of a period more.

    Raises
    ------
    NotPeriodic
        If the short trace, extended by one period, is not the longer one.
    """
    start = np.array(longer.moments[0].live) - np.array(short.moments[0].live)
    optimizer = _optimizer(short.operations), _optimizer(longer.operations)
    below, above = _changes(short.moments, "optimizer"), _changes(longer.moments, "optimizer")
    changes = above - below if len(above) == len(below) else None
    growth = Growth(layers, start, optimizer, changes)
    _prove(extend(short, growth, 1), longer)
    return growth


def extend(trace: StepTrace, growth: Growth, copies: int) -> StepTrace:
    """Add `copies` periods of layers to a trace; calls of equal layers come folded, with a count.

    Raises
    ------
    NotPeriodic
        If the layers of this trace are not equal, or its optimizer is not the one that the growth was learnt from.
    """
    spans = spans_of(trace.operations, growth.layers)
    if _optimizer(trace.operations) != growth.optimizer[0]:
        raise NotPeriodic("the optimizer makes other calls at another size")
    place = _Places(growth.layers, tuple(spans), copies)
    operations = [place.spread(at, operation) for at, operation in enumerate(trace.operations)]
    operations = [operation for operation in operations if operation.phase != "optimizer"]
    return replace(
        trace,
        operations=operations + _scaled(*growth.optimizer, copies),
        whole=_moments(trace.moments, growth, place),
        kept=_repeated(trace.kept, growth.layers, copies),
        parameters=_parameters(trace.parameters, growth.layers, copies),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """Where calls and moments of the short model are in the whole one."""

    layers: Layers
    spans: tuple[Span, ...]
    copies: int

    def span(self, at: int) -> Span | None:
        """The span whose upper period call number `at` belongs to."""
        return next((span for span in self.spans if span.upper_start <= at < span.end), None)

    def spread(self, at: int, operation: Operation) -> Operation:
        """The call with all its repetitions."""
        if self.span(at) is None:
            module = self.module(at, operation.phase, operation.module)
            return operation if module == operation.module else replace(operation, module=module)
        module = self.layers.spread(operation.module, self.copies)
        return replace(operation, module=module, count=operation.count * (self.copies + 1))

    def module(self, at: int, phase: str, module: str) -> str:
        """Path of a call outside the upper period: layers above the further periods have higher numbers."""
        place = self.layers.split(module)
        if place is None or place[1] < self.layers.upper:
            return module
        span = next(span for span in self.spans if (span.stack, span.phase) == (place[0], phase))
        above = at >= span.end if phase == "forward" else at < span.upper_start
        return self.layers.shifted(module, self.copies * self.layers.period) if above else module


def _optimizer(operations: Sequence[Operation]) -> list[Operation]:
    return [operation for operation in operations if operation.phase == "optimizer"]


def _live(moments: Sequence[Moment]) -> Changes:
    return np.array([moment.live for moment in moments], dtype=np.int64).reshape(-1, 6)


def _changes(moments: Sequence[Moment], phase: str) -> Changes:
    """Changes of the live bytes at the moments of one phase."""
    chosen = [at for at, moment in enumerate(moments) if moment.phase == phase]
    return np.diff(_live(moments), axis=0, prepend=0)[chosen]


def _scaled(short: list[Operation], longer: list[Operation], copies: int) -> list[Operation]:
    """Calls of the optimizer for all layers: the same calls with more elements, or more of the same calls."""
    if [o.operator for o in short] == [o.operator for o in longer]:
        return [_line(a, b, copies) for a, b in zip(short, longer, strict=True)]
    counts = Counter(short), Counter(longer)
    return [replace(call, count=counts[0][call] + copies * (counts[1][call] - counts[0][call])) for call in counts[1]]


def _line(short: Operation, longer: Operation, copies: int) -> Operation:
    below, above = numbers_of(short), numbers_of(longer)
    if len(below) != len(above):
        raise NotPeriodic(f"{short.operator} takes tensors of another shape in a longer model")
    return with_numbers(short, [a + copies * (b - a) for a, b in zip(below, above, strict=True)])


def _moments(moments: Sequence[Moment], growth: Growth, place: _Places) -> LiveTable:
    changes = np.diff(_live(moments), axis=0, prepend=0)
    _check_changes(moments, changes, place.spans)
    changes[0] += place.copies * growth.start
    optimizing = [at for at, moment in enumerate(moments) if moment.phase == "optimizer"]
    if growth.changes is not None and len(optimizing):
        changes[optimizing] += place.copies * growth.changes
    rows, places = _layout(tuple((moment.after, moment.phase, moment.module) for moment in moments), place)
    return LiveTable(places, np.cumsum(changes[rows], axis=0))


@lru_cache(maxsize=4)
def _layout(seen: tuple[Seen, ...], place: _Places) -> tuple[NDArray[np.intp], tuple[tuple[Phase, str], ...]]:
    """Which moments of the short model make up the whole one, and where; the same at every size."""
    order = list(_order(seen, place))
    return np.array([at for at, _ in order], dtype=np.intp), tuple((seen[at][1], module) for at, module in order)


def _within(moments: Sequence[Moment], start: int, length: int) -> list[int]:
    """Moments of `length` calls from call number `start`."""
    return _within_calls([moment.after for moment in moments], start, length)


def _within_calls(after: Sequence[int], start: int, length: int) -> list[int]:
    return [at for at, calls in enumerate(after) if start < calls <= start + length]


def _check_changes(moments: Sequence[Moment], changes: Changes, spans: Sequence[Span]) -> None:
    for span in spans:
        lower = _within(moments, span.lower_start, span.length)
        upper = _within(moments, span.upper_start, span.length)
        same = len(lower) == len(upper) and np.array_equal(changes[lower], changes[upper])
        if not same:
            raise NotPeriodic(f"the layers of {span.stack} change memory differently")


def _order(seen: Sequence[Seen], place: _Places) -> Iterator[tuple[int, str]]:
    """Moments of the whole model in the order of time: (moment of the short model, module)."""
    at = 0
    period = place.layers.period
    for span in place.spans:
        block = _within_calls([after for after, _, _ in seen], span.upper_start, span.length)
        if not block:
            continue
        yield from _outside(seen, range(at, block[0]), place)
        copies = range(place.copies + 1)
        for copy in copies if span.phase == "forward" else reversed(copies):
            yield from ((n, place.layers.shifted(seen[n][2], copy * period)) for n in block)
        at = block[-1] + 1
    yield from _outside(seen, range(at, len(seen)), place)


def _outside(seen: Sequence[Seen], numbers: range, place: _Places) -> Iterator[tuple[int, str]]:
    for at in numbers:
        after, phase, module = seen[at]
        yield at, place.module(after - 1, phase, module)


def _repeated(values: Mapping[str, int], layers: Layers, copies: int) -> dict[str, int]:
    """Values of single modules, those of the upper period repeated: folded path -> value of one."""
    found = {}
    for path, value in values.items():
        place = layers.split(path)
        if place is not None and place[1] >= layers.tail:
            path = layers.shifted(path, copies * layers.period)
        elif place is not None and place[1] >= layers.upper:
            path = layers.spread(path, copies)
        found[path] = value
    return found


def _parameters(parameters: Parameters, layers: Layers, copies: int) -> Parameters:
    by_module = _repeated(parameters.by_module, layers, copies)
    trained = _repeated(parameters.trained_by_module, layers, copies)
    return Parameters(by_module, trained)


def _prove(extended: StepTrace, longer: StepTrace) -> None:
    """Compare all that was extended with what was traced."""
    if _calls(extended) != _calls(longer):
        raise NotPeriodic("a further layer makes other calls")
    if not extended.live().same_as(longer.live()) and not _one_by_one(extended.live(), longer.live()):
        raise NotPeriodic("a further layer changes memory differently")
    if (_each(extended.kept), extended.parameters.total) != (_each(longer.kept), longer.parameters.total):
        raise NotPeriodic("a further layer keeps other activations or parameters")


def _calls(trace: StepTrace) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for operation in trace.operations:
        call = call_of(operation)
        for path in expand_path(operation.module):
            found[(path, call)] += operation.count // layer_count(operation.module)
    return found


def _one_by_one(extended: LiveTable, longer: LiveTable) -> bool:
    """Whether only an optimizer that goes parameter by parameter has more moments, none of them higher."""
    before = [
        [at for at, (phase, _) in enumerate(table.places) if phase != "optimizer"] for table in (extended, longer)
    ]
    peaks = [table.live.sum(axis=1).max(initial=0) for table in (extended, longer)]
    first, second = (
        LiveTable(tuple(table.places[at] for at in rows), table.live[rows])
        for table, rows in zip((extended, longer), before, strict=True)
    )
    return first.same_as(second) and peaks[0] == peaks[1]


def _each(values: Mapping[str, int]) -> dict[str, int]:
    return {path: value for folded, value in values.items() for path in expand_path(folded)}
