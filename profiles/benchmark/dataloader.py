"""How many samples a second a data loader brings, timed on the machine at hand.

A loader is any iterable of batches: torch's DataLoader, a generator, a tf.data pipeline as numpy. Nothing here needs
torch: a batch's samples are counted by its first array.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hardware_db.errors import ModelError

WARM_UP: Final = 2
"""Batches that are not timed: workers start, the page cache fills."""

SECONDS: Final = 10.0
DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class LoaderRate:
    """What was timed.

    Attributes
    ----------
    samples, batches, seconds
        timed, after the warm-up
    first_batch_s
        until the first batch was there [s]
    batch_size
        samples of the first batch
    """

    samples: int
    batches: int
    seconds: float
    first_batch_s: float
    batch_size: int

    @property
    def samples_per_s(self) -> float:
        """Samples a second [1/s]."""
        return self.samples / self.seconds


def time_loader(
    make: Callable[[], Iterable[Any]], seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter
) -> LoaderRate:
    """Run through a loader for about so many seconds; a short one is run through again and again.

    Parameters
    ----------
    make
        returns the loader
    seconds
        time to take; the batch that is on its way is waited for
    clock
        returns seconds

    Raises
    ------
    ModelError
        what comes is no loader, it brings nothing, or a batch without arrays
    """
    began = clock()
    batches = _again_and_again(_checked(make()))
    batch_size = samples_of(next(batches, None))
    first, started = clock() - began, clock()
    for _ in range(WARM_UP - 1):
        next(batches, None)
        started = clock()
    sizes = []
    for batch in batches:
        sizes.append(samples_of(batch))
        if clock() - started >= seconds:
            break
    if not sizes:
        raise ModelError(f"The loader brought {WARM_UP} batches or fewer and can be run through only once")
    return LoaderRate(sum(sizes), len(sizes), clock() - started, first, batch_size)


def _again_and_again(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield batches without end; what can be run through only once ends."""
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            return


def samples_of(batch: Any) -> int:
    """Return the samples of a batch: the first size of its first array, or its length where it holds none.

    Raises
    ------
    ModelError
        it is neither an array nor holds any
    """
    if batch is None:
        raise ModelError("The loader brought no batch")
    found = _first_array(batch, DEPTH)
    if found is not None:
        return int(found)
    if isinstance(batch, Sequence) and not isinstance(batch, str | bytes) and batch:
        return len(batch)
    raise ModelError(
        f"The loader's batch is a {type(batch).__name__} without arrays; expected tensors, or tuples or dicts of them"
    )


def _first_array(value: Any, depth: int) -> int | None:
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return int(shape[0])
    inner = list(value.values()) if isinstance(value, Mapping) else value
    if not depth or isinstance(inner, str | bytes) or not isinstance(inner, Sequence):
        return None
    return next((size for each in inner if (size := _first_array(each, depth - 1)) is not None), None)


def _checked(loader: Any) -> Iterable[Any]:
    if not isinstance(loader, Iterable) or isinstance(loader, str | bytes):
        raise ModelError(f"The loader is a {type(loader).__name__}; expected an iterable of batches (a DataLoader)")
    return loader
