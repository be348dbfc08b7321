"""At which sizes a model is traced so that its numbers are known at all sizes. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from profiles.growth import MASK_ROUNDING
from profiles.models.definition import Sizes
from profiles.records import Operation
from profiles.thresholds import Range, sides

BATCHES = (2, 3, 5)
_FURTHER_BATCH = 7  # four batch sizes prove losses that compare every sample with every other
_PADDED = "aten._scaled_dot_product_efficient_attention"
_SHORTEST = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """Lengths at which a model makes the same calls: multiples of `multiple` that are none of `but` (0: all of them).

    `examples` are four of them or more that leave different rests by 32, 8 and 3, so that nothing which is rounded up
    or down looks like a polynomial; more where masks may be padded too.
    """

    multiple: int
    but: int
    examples: tuple[int, ...]

    def holds(self, length: int) -> bool:
        """Whether a length is one of these."""
        return length % self.multiple == 0 and not (self.but and length % self.but == 0)

    def up_to(self, length: int) -> int:
        """Return the longest that is no longer than this, 0 if there is none."""
        return next((each for each in range(length, 0, -1) if self.holds(each)), 0)

    def beyond(self, length: int) -> int:
        """Return the shortest that is longer than this."""
        return next(each for each in range(length + 1, length + 2 * _SHORTEST + 1) if self.holds(each))


ANY = Kind(1, 0, (65, 104, 163, 234))
ROUND = Kind(_SHORTEST, 0, (64, 96, 160, 224))
ALIGNED = Kind(MASK_ROUNDING, 0, (72, 112, 168, 232, 304, 376, 440))
UNALIGNED = Kind(1, MASK_ROUNDING, (65, 100, 163, 234, 301, 375, 443))


def kinds_of(operations: Sequence[Operation]) -> tuple[Kind, ...]:
    """Kinds of lengths for a model with these calls.

    Memory-efficient attention takes masks whose rows are aligned, and copies others (pad_bias in torch's
    aten/src/ATen/native/transformers/attention.cpp): a call more at lengths that are no multiples of 8.
    """
    masked = any(operation.operator == _PADDED and len(operation.inputs) > 3 for operation in operations)
    return (ALIGNED, UNALIGNED) if masked else (ANY,)


_FARTHEST = 16_384
"""A threshold above is not looked beyond unasked: masks of such lengths take seconds, and gigabytes to know."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Longest sequence that a model takes (None: any), and lengths at which it may begin to compute something else.

    `own_code`: nobody knows what it does at large sizes, as it comes from no package, so that these are looked at too.
    """

    limit: int | None = None
    thresholds: tuple[int, ...] = ()
    own_code: bool = False


NO_BOUNDS = Bounds()


def more_sizes(first: Sizes, bounds: Bounds, kinds: Sequence[Kind]) -> Iterator[list[Sizes]]:
    """Sets of sizes to trace besides the first, the one that promises most coming first.

    For a model with a sequence: lengths and batches that determine polynomials up to S**2 and leave one size over as
    proof, the longest sequence of the model among them, since models that look back a limited way change there; batch
    size 1 apart. Few sizes, which prove numbers of few terms, come before more, which prove all laws. If the model has
    thresholds, first with a length beyond each, then on the side of them that was asked for. Then, in case all that is
    refused, the length asked for alone. The lengths are of one of the `kinds`, or else rounder.
    """
    if first.sequence_length is None:
        yield from _batches(first)
        return
    asked, limit = first.sequence_length, bounds.limit
    thresholds = [each for each in bounds.thresholds if limit is None or each <= limit]
    chosen = [kind for kind in (*kinds, ROUND) if kind.holds(asked)]
    if not thresholds:
        for kind in chosen:
            yield from _grids(first, _lengths(kind, limit))
    else:
        yield from _around(first, limit, thresholds, chosen)
    yield from _batches(first)


def _around(first: Sizes, limit: int | None, thresholds: Sequence[int], kinds: Sequence[Kind]) -> Iterator[list[Sizes]]:
    """Sets of sizes on all sides of the thresholds, then on one."""
    asked = first.sequence_length or 1
    for kind in kinds:
        probes = [kind.beyond(each) for each in thresholds if each <= _FARTHEST]
        probes = [each for each in probes if limit is None or each <= limit]
        if probes:
            yield from _grids(first, _lengths(kind, limit), probes)
    for side in sides(asked, thresholds):
        for kind in kinds:
            lengths, edges = _within(kind, asked, limit, side)
            yield from _grids(first, lengths, edges)


def _within(kind: Kind, asked: int, limit: int | None, side: Range) -> tuple[list[int], list[int]]:
    """Lengths of one side of the thresholds, and those at its ends, so that it is known to hold up to these."""
    start, end = side
    if limit is not None:
        end = limit if end is None else min(end, limit)
    if start == 1:
        near = end is not None and end <= max(asked, _FARTHEST)
        edges = [kind.up_to(end)] if end is not None and near else []
        lengths = [each for each in _lengths(kind, None) if end is None or each <= end]
        return lengths, [each for each in edges if each]
    base = -(-start // _SHORTEST) * _SHORTEST
    lengths = [base + length for length in kind.examples]
    return [length for length in lengths if end is None or length <= end], [kind.beyond(start - 1)]


def _batches(first: Sizes) -> Iterator[list[Sizes]]:
    for more in ((), (_FURTHER_BATCH,)):
        yield [replace(first, batch_size=batch) for batch in (*BATCHES, *more, 1) if batch != first.batch_size]


def _lengths(kind: Kind, limit: int | None) -> list[int]:
    """Four lengths or more, none above the limit, which is the last of them."""
    lengths = [length for length in kind.examples if limit is None or length <= limit]
    last = 0 if limit is None else kind.up_to(limit)
    return lengths if last in (0, *lengths) else [*lengths, last]


def _grids(first: Sizes, lengths: Sequence[int], edges: Sequence[int] = ()) -> Iterator[list[Sizes]]:
    """Few sizes that prove polynomials of up to four terms, then more that prove all; none of less than four lengths.

    Those at the edges come first, as they are the likeliest to refute them.
    """
    if len(lengths) < 4:
        return
    a, b, c, *rest = lengths
    d, last = rest[0], rest[-1]
    probes = [(batch, length) for length in edges for batch in dict.fromkeys((first.batch_size, 2, 1))]
    few = [(2, a), (3, b), (5, c), (2, last), (1, a), (1, b), (1, c)]
    few += [(5, a)] if first.batch_size == 1 else [(1, last)]
    more = [(3, d), (5, a), (2, c), (2, b), (2, d), *((batch, length) for length in rest for batch in (1, 3))]
    for pairs in ([*probes, *few], [*probes, *few, *more]):
        yield [replace(first, batch_size=batch, sequence_length=length) for batch, length in _others(pairs, first)]


def _others(pairs: Iterable[tuple[int, int]], first: Sizes) -> list[tuple[int, int]]:
    return [pair for pair in dict.fromkeys(pairs) if pair != (first.batch_size, first.sequence_length)]
