"""Equal layers of a model: which to trace, and where in a trace their calls are.

A model with many equal layers is traced with few. Its forward pass then reads: start, layer by layer, end; its backward
pass the same in reverse. In the middle stand two periods of layers, the lower and the upper one, that must make the
very same calls; then any number of further periods may stand above the upper one (`profiles.depth_extension`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from profiles.layers import layer_text
from profiles.records import Operation, Phase

if TYPE_CHECKING:
    from profiles.models import Depth


class NotPeriodic(Exception):
    """The layers are not all equal; the model has to be traced with all of them."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Which layers were traced and which the model has.

    stacks   paths of the lists of layers: "transformer.h"
    head     layers at the start that belong to no period
    period   after how many layers the pattern repeats
    traced   how many layers the short model has
    total    how many the model has
    """

    stacks: tuple[str, ...]
    head: int
    period: int
    traced: int
    total: int

    @property
    def copies(self) -> int:
        """How many periods the short model lacks."""
        return (self.total - self.traced) // self.period

    @property
    def upper(self) -> int:
        """First layer of the upper of the two periods that are compared."""
        return self.head + self.period

    @property
    def tail(self) -> int:
        """First layer above them."""
        return self.head + 2 * self.period

    def split(self, path: str) -> tuple[str, int, str] | None:
        """Split "transformer.h.3.attn" into ("transformer.h", 3, ".attn"); None outside the layers."""
        return _split(path, self.stacks)

    def shifted(self, path: str, by: int) -> str:
        """Return the path of the same part of the layer `by` above."""
        place = self.split(path)
        return path if place is None else f"{place[0]}.{place[1] + by}{place[2]}"

    def spread(self, path: str, copies: int) -> str:
        """Return the path of the same part of the layer and of its `copies` repetitions above, folded."""
        place = self.split(path)
        if place is None:
            return path
        repeated = layer_text(place[1] + copy * self.period for copy in range(copies + 1))
        return f"{place[0]}.{repeated}{place[2]}"


@lru_cache(maxsize=1 << 16)
def _split(path: str, stacks: tuple[str, ...]) -> tuple[str, int, str] | None:
    for stack in stacks:
        if path.startswith(stack + "."):
            index, dot, rest = path[len(stack) + 1 :].partition(".")
            return (stack, int(index), dot + rest) if index.isdecimal() else None
    return None


def plan(depth: Depth, stacks: Sequence[str], more_head: int = 0) -> Layers | None:
    """Choose how many layers to trace, with `more_head` layers at the start that may differ from the others.

    None where fewer than all layers would not help.
    """
    head = max(depth.fewest - depth.period, 1) + more_head
    least = head + 2 * depth.period + 1
    traced = next((count for count in depth.counts() if count >= least), depth.layers)
    if not stacks or traced + depth.period >= depth.layers:
        return None
    return Layers(tuple(stacks), head, depth.period, traced, depth.layers)


@dataclass(frozen=True, slots=True)
class Span:
    """The calls of the two periods of one stack in one phase, each `length` calls from its start.

    Forward, the upper period comes after the lower; backward, before it.
    """

    stack: str
    phase: Phase
    upper_start: int
    lower_start: int
    length: int

    @property
    def end(self) -> int:
        """Number of the first call after the upper period."""
        return self.upper_start + self.length


def spans_of(operations: Sequence[Operation], layers: Layers) -> list[Span]:
    """Find the two periods of every stack in the forward and the backward pass, in the order of time.

    Raises
    ------
    NotPeriodic
        If they do not make the same calls.
    """
    found = []
    for stack in layers.stacks:
        for phase in ("forward", "backward"):
            numbers = [
                (at, place[1])
                for at, operation in enumerate(operations)
                if operation.phase == phase and (place := layers.split(operation.module)) and place[0] == stack
            ]
            if numbers:
                found.append(
                    _forward(stack, numbers, layers) if phase == "forward" else _backward(stack, numbers, layers)
                )
    for span in found:
        _check(operations, span, layers)
    return sorted(found, key=lambda span: span.upper_start)


def _check(operations: Sequence[Operation], span: Span, layers: Layers) -> None:
    lower = operations[span.lower_start : span.lower_start + span.length]
    for below, above in zip(lower, operations[span.upper_start : span.end], strict=True):
        if layers.shifted(below.module, layers.period) != above.module or call_of(below) != call_of(above):
            raise NotPeriodic(f"{below.operator} in {below.module} is not repeated in the layers above")


call_of = attrgetter(*(name for name in Operation.__slots__ if name not in ("module", "count")))
"""All of a call but its place and count."""


def _forward(stack: str, numbers: Sequence[tuple[int, int]], layers: Layers) -> Span:
    lower, upper, tail = (
        next((at for at, layer in numbers if layer >= start), None)
        for start in (layers.head, layers.upper, layers.tail)
    )
    if lower is None or upper is None or tail is None or upper - lower != tail - upper:
        raise NotPeriodic("layers make different numbers of calls forward")
    return Span(stack, "forward", upper, lower, upper - lower)


def _backward(stack: str, numbers: Sequence[tuple[int, int]], layers: Layers) -> Span:
    ends = (layers.tail, layers.upper, layers.head)
    upper, lower, head = (next((at for at, layer in numbers if layer < end), None) for end in ends)
    if upper is None or lower is None or head is None or lower - upper != head - lower:
        raise NotPeriodic("layers make different numbers of calls backward")
    return Span(stack, "backward", upper, lower, lower - upper)
