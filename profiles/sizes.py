"""At which sizes a model is traced so that its numbers are known at all sizes. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from profiles.models.definition import Sizes
from profiles.records import Operation
from profiles.thresholds import Range, sides

BATCHES = (2, 3, 5)
_FURTHER_BATCH = 7  # four batch sizes prove losses that compare every sample with every other
# Memory-efficient attention pads the lengths it stores to 32: its numbers are polynomials for multiples of that alone.
_PADDED = ("aten._scaled_dot_product_efficient_attention", 32)
_LENGTHS = (2, 3, 5, 7)
_SHORTEST = 32


_FARTHEST = 16_384
"""A threshold above is not looked beyond unasked: masks of such lengths take seconds, and gigabytes to know."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Longest sequence that a model takes (None: any), and lengths at which it may begin to compute something else."""

    limit: int | None = None
    thresholds: tuple[int, ...] = ()


NO_BOUNDS = Bounds()


def more_sizes(first: Sizes, bounds: Bounds, operations: Sequence[Operation]) -> Iterator[list[Sizes]]:
    """Sets of sizes to trace besides the first, the one that promises most coming first.

    For a model with a sequence: lengths and batches that determine polynomials up to S**2 and leave one size over as
    proof, the longest sequence of the model among them, since models that look back a limited way change there; batch
    size 1 apart. Few sizes, which prove numbers of few terms, come before more, which prove all laws. If the model has
    thresholds, first with a length beyond each, then on the side of them that was asked for. Then, in case all that is
    refused, the length asked for alone.
    """
    if first.sequence_length is None:
        yield from _batches(first)
        return
    asked, limit = first.sequence_length, bounds.limit
    thresholds = [each for each in bounds.thresholds if limit is None or each <= limit]
    padded = any(operation.operator == _PADDED[0] for operation in operations)
    steps = [step for step in ((_PADDED[1],) if padded else (1, _PADDED[1])) if asked % step == 0]
    if not thresholds:
        for step in steps:
            yield from _grids(first, _lengths(step, asked, limit))
    else:
        yield from _around(first, limit, thresholds, steps)
    yield from _batches(first)


def _around(first: Sizes, limit: int | None, thresholds: Sequence[int], steps: Sequence[int]) -> Iterator[list[Sizes]]:
    """Sets of sizes on all sides of the thresholds, then on one."""
    asked = first.sequence_length or 1
    for step in steps:
        lengths = _lengths(step, asked, limit)
        probes = [step * (each // step + 1) for each in thresholds if each <= _FARTHEST]
        probes = [each for each in probes if limit is None or each <= limit]
        if probes:
            yield from _grids(first, lengths, probes)
    for side in sides(asked, thresholds):
        for step in steps:
            lengths, edges = _within(step, asked, limit, side)
            yield from _grids(first, lengths, edges)


def _within(step: int, asked: int, limit: int | None, side: Range) -> tuple[list[int], list[int]]:
    """Lengths of one side of the thresholds, and those at its ends, so that it is known to hold up to these."""
    start, end = side
    if limit is not None:
        end = limit if end is None else min(end, limit)
    if start == 1:
        near = end is not None and end <= max(asked, _FARTHEST)
        edges = [end // step * step] if end is not None and near else []
        lengths = [each for each in _lengths(step, asked, None) if end is None or each <= end]
        return lengths, [each for each in edges if each]
    base = -(-start // step) * step
    lengths = [base + length for length in _lengths(step, 8 * _SHORTEST, None)]
    return [length for length in lengths if end is None or length <= end], [base]


def _batches(first: Sizes) -> Iterator[list[Sizes]]:
    for more in ((), (_FURTHER_BATCH,)):
        yield [replace(first, batch_size=batch) for batch in (*BATCHES, *more, 1) if batch != first.batch_size]


def _lengths(step: int, asked: int, limit: int | None) -> list[int]:
    """Four lengths or more, multiples of `step`, none above the limit; neighbours of multiples where step is 1."""
    longest = limit or max(asked, 8 * _SHORTEST)
    unit = max(step, _SHORTEST)
    lengths = [unit * multiple + (1 if step == 1 else 0) for multiple in _LENGTHS]
    lengths = [length for length in lengths if length <= longest]
    if limit is not None and limit % step == 0 and limit not in lengths:
        lengths.append(limit)
    return lengths


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
    more = [(3, d), (5, a), (2, c), (2, b), (2, d), (1, d), (1, last)]
    for pairs in ([*probes, *few], [*probes, *few, *more]):
        yield [replace(first, batch_size=batch, sequence_length=length) for batch, length in _others(pairs, first)]


def _others(pairs: Iterable[tuple[int, int]], first: Sizes) -> list[tuple[int, int]]:
    return [pair for pair in dict.fromkeys(pairs) if pair != (first.batch_size, first.sequence_length)]
