"""Which layers run on which stage of a pipeline."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.parallel.layout import layout_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Parallelism
    from profiles.model_profile import ModelProfile

Owners = NDArray[np.intp]
Edges = tuple[float, float]

LEAST_EDGE: Final = 0.01
"""What comes before or after the layers in layers, at least: a look-up has no FLOPs, but it is work."""


def chunks_of(profile: ModelProfile, seconds: Floats, split: Parallelism) -> Owners:
    """Return the chunk of layers, in the order of execution, that each part of a model belongs to.

    Equal layers that divide evenly are dealt out evenly, as frameworks do unless they are told otherwise; what comes
    before them goes with the first, what comes after with the last. Equal layers that do not, or are to be dealt by
    what there is to do, see `layers_dealt`. Layers of several kinds are cut so that the slowest chunk is fastest.

    Parameters
    ----------
    profile
        the model
    seconds
        (parts,) seconds of a micro-batch on each part
    split
        stages and chunks

    Raises
    ------
    UsageError
        there are not enough layers for all chunks
    """
    blocks = layout_of(profile).blocks
    return _owners(layers_of_chunks(profile, split)) if blocks.uniform else balanced(seconds, split.chunks)


def layers_of_chunks(profile: ModelProfile, split: Parallelism) -> tuple[int, ...]:
    """Return how many of the equal layers of a model each chunk gets, in the order of execution.

    Raises
    ------
    UsageError
        there are not enough layers for all chunks
    """
    layers, count = layout_of(profile).blocks.count, split.chunks
    if layers % count == 0 and split.even_stages:
        return (layers // count,) * count
    sizes = layers_dealt(layers, edges_of(profile), split.pipeline_parallel, split.virtual_pipeline)
    if sizes is None:
        raise UsageError(f"{profile.model} has {layers} layers, too few for {count} pipeline chunks")
    return sizes


def _owners(sizes: tuple[int, ...]) -> Owners:
    layers = np.repeat(np.arange(len(sizes)), sizes)
    return np.concatenate([[0], layers, [len(sizes) - 1]]).astype(np.intp)


@lru_cache(maxsize=256)
def edges_of(profile: ModelProfile) -> Edges:
    """Return the FLOPs before and after equal layers (embedding; head and loss) over those of a layer."""
    table, blocks = profile.table(), layout_of(profile).blocks
    work = blocks.per_part(table.model_flops.astype(np.float64) * table.count)
    layer = max(1.0, float(work[1:-1].mean())) if blocks.count else 1.0
    first, last = (max(LEAST_EDGE, round(float(work[at]) / layer, 2)) for at in (0, -1))
    return first, last


@lru_cache(maxsize=4096)
def layers_dealt(layers: int, edges: Edges, stages: int, chunks: int) -> tuple[int, ...] | None:
    """Deal equal layers to stages, and there to chunks, so that none has more to do than it must.

    One after the other, each goes to the stage with the least to do, embedding and head counted; of stages alike to the
    last, which holds the fewest micro-batches. Llama 3 405B was trained so: its 126 layers on 16 stages, one less on
    the first and on the last (Grattafiori et al., 2024, section 3.3.2).

    Returns
    -------
        layers of each chunk in the order of execution; None where one would have nothing to do

    Examples
    --------
    >>> layers_dealt(14, (0.01, 0.7), 4, 1)
    (3, 4, 4, 3)
    """
    of_stage = _least_first(layers, [edges[0], *[0.0] * (stages - 2), edges[1]], last=True)
    sizes = [0] * (stages * chunks)
    for stage, mine in enumerate(of_stage):
        todo = [0.0] * chunks
        todo[0] += edges[0] * (stage == 0)
        todo[-1] += edges[1] * (stage == stages - 1)
        sizes[stage::stages] = _least_first(mine, todo, last=False)
    return None if 0 in sizes[1:-1] else tuple(sizes)


def _least_first(layers: int, todo: list[float], last: bool) -> list[int]:
    """Return how many layers each gets if every layer goes to where there is the least to do."""
    found, todo = [0] * len(todo), list(todo)
    for _ in range(layers):
        least = min(todo)
        at = len(todo) - 1 - todo[::-1].index(least) if last else todo.index(least)
        found[at] += 1
        todo[at] += 1.0
    return found


def largest_load(sizes: tuple[int, ...], edges: Edges, stages: int) -> float:
    """Return what the fullest stage has to do, in layers."""
    loads = np.array(sizes, dtype=np.float64).reshape(-1, stages).sum(axis=0)
    loads[0] += edges[0]
    loads[-1] += edges[1]
    return float(loads.max())


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
