"""At which sizes a model is traced so that its numbers are known at all sizes. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from profiles.models.definition import Sizes
from profiles.records import Operation

BATCHES = (2, 3, 5)
# Memory-efficient attention pads the lengths it stores to 32: its numbers are polynomials for multiples of that alone.
_PADDED = ("aten._scaled_dot_product_efficient_attention", 32)
_LENGTHS = (2, 3, 5, 7)
_SHORTEST = 32


def more_sizes(first: Sizes, limit: int | None, operations: Sequence[Operation]) -> Iterator[list[Sizes]]:
    """Sets of sizes to trace besides the first, the one that promises most coming first.

    For a model with a sequence: lengths and batches that determine polynomials up to S**2 and leave one size over as
    proof, the longest sequence of the model among them, since models that look back a limited way change there; batch
    size 1 apart. Then, in case that is refused, the length asked for alone.
    """
    if first.sequence_length is None:
        yield _batches(first)
        return
    padded = any(operation.operator == _PADDED[0] for operation in operations)
    for step in (_PADDED[1],) if padded else (1, _PADDED[1]):
        lengths = _lengths(step, first.sequence_length, limit)
        if len(lengths) >= 4 and first.sequence_length % step == 0:
            yield _grid(first, lengths)
    yield _batches(first)


def _batches(first: Sizes) -> list[Sizes]:
    batches = [batch for batch in (*BATCHES, 1) if batch != first.batch_size]
    return [replace(first, batch_size=batch) for batch in batches]


def _lengths(step: int, asked: int, limit: int | None) -> list[int]:
    """Four lengths or more, multiples of `step`, none above the limit; neighbours of multiples where step is 1."""
    longest = limit or max(asked, 8 * _SHORTEST)
    unit = max(step, _SHORTEST)
    lengths = [unit * multiple + (1 if step == 1 else 0) for multiple in _LENGTHS]
    lengths = [length for length in lengths if length <= longest]
    if limit is not None and limit % step == 0 and limit not in lengths:
        lengths.append(limit)
    return lengths


def _grid(first: Sizes, lengths: Sequence[int]) -> list[Sizes]:
    a, b, c, *rest = lengths
    d = rest[0]
    pairs = [(2, a), (3, b), (5, a), (2, c), (3, d), (5, c), (2, b), (1, a), (1, b), (1, c), (1, d)]
    pairs += [(2, length) for length in rest[1:]]
    asked = (first.batch_size, first.sequence_length)
    return [replace(first, batch_size=batch, sequence_length=s) for batch, s in _distinct(pairs) if (batch, s) != asked]


def _distinct(pairs: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    return dict.fromkeys(pairs)
