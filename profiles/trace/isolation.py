"""What a trace switches off while it runs, and puts back as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch.distributions import Distribution


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Run one of torch's Python operators: the first one keeps frames alive, and with them tensors of the model."""
    tensor = torch.empty((2, 2), device="meta")
    torch.addmm(tensor[0], tensor, tensor)


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """No questions whether the parameters of a distribution are valid numbers: symbolic ones are none."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextmanager
def isolated() -> Iterator[None]:
    """No garbage collection in between (it would make the timeline depend on chance), no change to random numbers."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        if collecting:
            gc.enable()
