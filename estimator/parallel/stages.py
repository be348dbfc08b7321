"""Which layers run on which stage of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from estimator.parallel.blocks import Blocks, Floats
    from estimator.parallel.parallelism import Parallelism

Owners = NDArray[np.intp]


def chunks_of(blocks: Blocks, seconds: Floats, split: Parallelism) -> Owners:
    """Return the chunk of layers, in the order of execution, that each part of a model belongs to.

    Equal layers that divide evenly are dealt out evenly, as frameworks do; what comes before them goes with the first,
    what comes after with the last. Otherwise consecutive parts are grouped so that the slowest chunk is fastest.

    Parameters
    ----------
    blocks
        the layers
    seconds
        (parts,) seconds of a micro-batch on each part
    split
        stages and chunks
    """
    count = split.chunks
    if blocks.uniform and blocks.count % count == 0:
        layers = np.arange(blocks.count) // (blocks.count // count)
        return np.concatenate([[0], layers, [count - 1]]).astype(np.intp)
    return balanced(seconds, count)


def balanced(seconds: Floats, count: int) -> Owners:
    """Group consecutive parts into `count` groups, none empty, so that the slowest group is as fast as can be.

    Examples
    --------
    >>> balanced(np.array([1.0, 1.0, 1.0, 3.0]), 2).tolist()
    [0, 0, 0, 1]
    """
    low, high = float(seconds.max()), float(seconds.sum())
    for _ in range(60):
        middle = (low + high) / 2
        if len(_starts(seconds, middle)) <= count:
            high = middle
        else:
            low = middle
    starts = _starts(seconds, high)
    while len(starts) < count:
        starts = _cut_longest(starts, len(seconds))
    owners = np.zeros(len(seconds), dtype=np.intp)
    owners[starts[1:]] = 1
    return np.cumsum(owners)


def _starts(seconds: Floats, limit: float) -> list[int]:
    """First part of each group if groups are filled up to a limit one after the other."""
    starts, filled = [0], 0.0
    for at, each in enumerate(seconds.tolist()):
        if filled + each > limit * (1 + 1e-12):
            starts.append(at)
            filled = 0.0
        filled += each
    return starts


def _cut_longest(starts: list[int], parts: int) -> list[int]:
    """Cut the group with the most parts in two."""
    ends = [*starts[1:], parts]
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    longest = int(np.argmax(lengths))
    return sorted([*starts, starts[longest] + lengths[longest] // 2])
