"""Which cases are timed on a device, the most telling first: whoever stops early keeps what matters most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from typing import Final

from profiles.benchmark.cases import Case
from profiles.benchmark.fitting import SWEEP
from profiles.benchmark.host_cases import launch_cases, memory_cases, optimizer_cases, transfer_cases
from profiles.benchmark.product_cases import (
    attention_cases,
    convolution_cases,
    matmul_cases,
    recurrent_cases,
)
from profiles.benchmark.product_shapes import convolutions, products
from profiles.benchmark.vector_cases import sweep_cases, vector_cases

PRECISIONS: Final = {
    "cpu": ("float32", "bfloat16", "float64", "float16"),
    "gpu": ("bfloat16", "float16", "tf32", "float32", "float8", "float64"),
}
"""What is tried on a kind of device, the most used first; what it does not have is left out and said."""

CONVOLVED: Final = ("float32", "tf32", "bfloat16", "float16")
ATTENDED: Final = ("float32", "bfloat16", "float16")
_FEW: Final = 4
_MODEST: Final = 2
"""Place of a product of 2048 x 2048 x 2048: many cards have a 32nd or a 64th of their float32 rate in float64."""

_LANES: Final = 8
"""Operators that move data have the most cases, and the shortest: several go to a round."""


def cases(kind: str, full: bool, precisions: Iterable[str]) -> tuple[Case, ...]:
    """Return the cases for a kind of device ("cpu", "gpu") in these precisions.

    The first precision is timed in all shapes; the others, where they are not the one that most training runs in, in a
    few. What everything else rests on comes first (see `ground`), then rounds of one case of each sort.
    """
    chosen = tuple(precisions)
    sorts = [
        *(_products(kind, full, precision, place) for place, precision in enumerate(chosen)),
        *(_convolutions(kind, full, precision, place) for place, precision in enumerate(chosen)),
        *(attention_cases(kind, precision) for precision in _attended(kind, full, chosen)),
        *(
            islice(vector_cases(kind, precision), first, None, _LANES)
            for precision in _vector_precisions(kind, full, chosen)
            for first in range(_LANES)
        ),
        *(islice(sweep_cases(kind), first, None, _LANES) for first in range(_LANES)),
        chain(memory_cases(kind), transfer_cases(kind), optimizer_cases(kind)),
        launch_cases(kind),
        recurrent_cases(kind, "float32"),
    ]
    rounds = [case for case in chain.from_iterable(zip_longest(*sorts)) if case is not None]
    return (*rounds[:1], *sorted(rounds[1:], key=lambda case: not ground(case, kind)))


def ground(case: Case, kind: str) -> bool:
    """Whether a CPU's profile is of no use without this case: caches, launches and new pages. They take a second."""
    return kind == "cpu" and (case.family in ("launch", "fresh memory") or case.name.startswith(SWEEP))


def _attended(kind: str, full: bool, chosen: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for each in chosen[: None if full or kind == "gpu" else 1] if each in ATTENDED)


def _products(kind: str, full: bool, precision: str, place: int) -> Iterator[Case]:
    every = matmul_cases(products(kind, full), precision)
    if precision == "float8":
        return (case for case in islice(every, _FEW) if "nt" in case.name or "nn" in case.name)
    if precision == "float64" and kind == "gpu" and place:
        return islice(every, _MODEST, _MODEST + 1)
    return islice(every, None if place == 0 or (full and kind == "gpu") else 1 if precision == "float64" else _FEW)


def _convolutions(kind: str, full: bool, precision: str, place: int) -> Iterator[Case]:
    every = convolution_cases(convolutions(kind, full), precision) if precision in CONVOLVED else iter(())
    return islice(every, None if place == 0 or full else 0 if kind == "cpu" else _FEW)


def _vector_precisions(kind: str, full: bool, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the types in which operators without products are timed: float32, and a half one where it matters."""
    halves = [precision for precision in chosen if precision in ("bfloat16", "float16")][:1]
    return ("float32", *halves) if kind == "gpu" or full else ("float32",)
