"""Module paths of repeated layers: "h.3.attn" for one of them, "h.[0-11].attn" for twelve equal ones.

A path component that is a number is the index of a layer. A component in brackets stands for several: single indices
and ranges, both ends included, as in "[0,2,5-7]". Folding and expanding are each other's inverse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)
Indices = tuple[int, ...]

_RANGES = re.compile(r"\[\d+(-\d+)?(,\d+(-\d+)?)*\]")
_SLOT = "[]"
MOST_LAYERS = 10_000


@lru_cache(maxsize=1 << 16)
def split_path(path: str) -> tuple[str, tuple[Indices, ...]]:
    """Return the path with "[]" for every layer index, and the indices that stand there.

    "h.[0-2].attn.5" gives ("h.[].attn.[]", ((0, 1, 2), (5,))).
    """
    pattern: list[str] = []
    indices: list[Indices] = []
    for component in path.split("."):
        layers = layer_indices(component)
        pattern.append(component if layers is None else _SLOT)
        if layers is not None:
            indices.append(layers)
    return ".".join(pattern), tuple(indices)


@lru_cache(maxsize=1 << 16)
def single_layers(path: str) -> tuple[str, tuple[Indices, ...]]:
    """Return the pattern of a path and the indices of every single path that it stands for.

    "h.[0-2].attn.5" gives ("h.[].attn.[]", ((0, 5), (1, 5), (2, 5))).
    """
    pattern, indices = split_path(path)
    return pattern, tuple(product(*indices))


def layer_indices(component: str) -> Indices | None:
    """Return the layers that a path component stands for, or None if it is an ordinary name."""
    # A leading zero would not survive folding, so "007" is a name.
    if component.isdecimal() and component.isascii() and (component == "0" or component[0] != "0"):
        return (int(component),)
    if not _RANGES.fullmatch(component):
        return None
    spans = [part.partition("-") for part in component[1:-1].split(",")]
    ranges = [range(int(first), int(last or first) + 1) for first, _, last in spans]
    # A range that is empty or longer than any model is deep was not written by `layer_text`.
    if not all(0 < span.stop - span.start <= MOST_LAYERS for span in ranges):
        return None
    return tuple(layer for span in ranges for layer in span)


def join_path(pattern: str, indices: Sequence[Indices]) -> str:
    """Put indices back into a pattern of `split_path`."""
    pieces = pattern.split(".")
    rest = iter(indices)
    return ".".join(layer_text(next(rest)) if piece == _SLOT else piece for piece in pieces)


def layer_text(layers: Iterable[int]) -> str:
    """Return "3" for one layer and "[0,2,5-7]" for several."""
    ordered = sorted(layers)
    if len(ordered) == 1:
        return str(ordered[0])
    spans: list[list[int]] = []
    for layer in ordered:
        if spans and layer == spans[-1][1] + 1:
            spans[-1][1] = layer
        else:
            spans.append([layer, layer])
    return "[" + ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans) + "]"


def expand_path(path: str) -> tuple[str, ...]:
    """Return every single path that a folded path stands for."""
    pattern, choices = single_layers(path)
    return tuple(join_path(pattern, [(layer,) for layer in choice]) for choice in choices)


def layer_count(path: str) -> int:
    """Return how many single paths a folded path stands for."""
    return math.prod(len(layers) for layers in split_path(path)[1])


def fold_indices(values: Mapping[Indices, Value]) -> list[tuple[tuple[Indices, ...], Value]]:
    """Group index tuples that share a value into full boxes of index sets, exactly covering them.

    {(0,): a, (1,): a, (2,): b} gives [(((0, 1),), a), (((2,),), b)].
    """
    groups: dict[Value, list[Indices]] = {}
    for index, value in values.items():
        groups.setdefault(value, []).append(index)
    return [(box, value) for value, indices in groups.items() for box in _boxes(indices)]


def _boxes(indices: Sequence[Indices]) -> list[tuple[Indices, ...]]:
    if not indices[0]:
        return [()]
    rests: dict[int, list[Indices]] = {}
    for index in indices:
        rests.setdefault(index[0], []).append(index[1:])
    firsts: dict[frozenset[Indices], list[int]] = {}
    for first, rest in rests.items():
        firsts.setdefault(frozenset(rest), []).append(first)
    return [(tuple(sorted(layers)), *box) for rest, layers in firsts.items() for box in _boxes(sorted(rest))]


def fold_paths(values: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Fold single paths that differ only in layer indices and share a value: [(folded path, value of ONE layer)]."""
    patterns: dict[str, dict[Indices, Value]] = {}
    for path, value in values.items():
        pattern, choices = single_layers(path)
        for choice in choices:
            patterns.setdefault(pattern, {})[choice] = value
    return [(join_path(pattern, box), value) for pattern, each in patterns.items() for box, value in fold_indices(each)]
