"""What can be timed: a case makes its call on a device, with random data of its own.

Torch is imported inside functions: listing cases needs none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from profiles.benchmark.clock import Call

if TYPE_CHECKING:
    import torch

TORCH_TYPES = {
    "float64": "float64",
    "float32": "float32",
    "tf32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float8": "float8_e4m3fn",
}
"""Precision to the dtype of its tensors."""

ELEMENT_BYTES = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2, "float8": 1}
MOST_VARIANTS = 16

Timer = Literal["device", "launch", "wall"]


POOL_BYTES = {"cpu": 96 << 20, "gpu": 1 << 30}
_ALIGNED = 64
"""Elements: every tensor begins at a cache line."""


class Lab:
    """A device to make data on: "cpu", "cuda:0"; `torch` is the module.

    Random numbers are drawn once, into a pool larger than any cache; tensors are successive parts of it.
    """

    def __init__(self, torch: Any, device: str) -> None:
        self.torch, self.device = torch, device
        self._pool: Any = None
        self._place = 0

    @property
    def kind(self) -> str:
        """Kind of the device: "cpu" or "gpu"."""
        return "cpu" if self.device == "cpu" else "gpu"

    @property
    def beyond_caches_bytes(self) -> int:
        """More than any cache between the cores of one device and its memory holds."""
        return 64 << 20 if self.kind == "cpu" else 256 << 20

    def random(self, *shape: int, precision: str = "float32", grad: bool = False) -> torch.Tensor:
        """Return normally distributed values: zeros would let some processors clock higher."""
        values = self._part(math.prod(shape)).view(shape)
        typed: torch.Tensor = values.to(getattr(self.torch, TORCH_TYPES[precision]))
        return typed.detach().requires_grad_(grad)

    def own(self, *shape: int, precision: str = "float32") -> torch.Tensor:
        """Return random values that a call may overwrite."""
        return self.random(*shape, precision=precision).clone()

    def integers(self, highest: int, *shape: int) -> torch.Tensor:
        """Return random integers below `highest`."""
        made: torch.Tensor = self.torch.randint(0, highest, shape, device=self.device)
        return made

    def _part(self, elements: int) -> Any:
        if self._pool is None:
            self._pool = self.torch.randn(POOL_BYTES[self.kind] // 4, device=self.device)
        if elements > self._pool.numel():
            return self.torch.randn(elements, device=self.device)
        first = self._place if self._place + elements <= self._pool.numel() else 0
        self._place = -(-(first + elements) // _ALIGNED) * _ALIGNED
        return self._pool[first : first + elements]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    Attributes
    ----------
    name
        unique: "matmul float32 1024x1024x1024"
    family
        one of `profiles.machine_profile.FAMILIES`
    precision
        in which it computes
    make
        makes data on a device and returns the call that is timed
    working_set_bytes
        what one call touches; several variants of it are called in turn, so that none finds its data in a cache
    cached
        the same data is used again instead, as by an operation that follows the one that made its input
    timer
        "device" time, "launch" for the host's share alone, or "wall"
    calls_inside
        how often the call does what is measured
    flops, moved_bytes
        of one call, where they do not follow from the operators below it
    """

    name: str
    family: str
    precision: str
    make: Callable[[Lab], Call]
    working_set_bytes: int = 0
    cached: bool = False
    timer: Timer = "device"
    calls_inside: int = 1
    flops: int = 0
    moved_bytes: int = 0

    def variants(self, lab: Lab) -> int:
        """Return how many copies of the data have to be made."""
        if self.cached or not self.working_set_bytes:
            return 1
        return max(1, min(MOST_VARIANTS, math.ceil(lab.beyond_caches_bytes / self.working_set_bytes)))


def times(sizes: tuple[int, ...]) -> str:
    """Return sizes as people write them.

    >>> times((8, 64, 56, 56))
    '8x64x56x56'
    """
    return "x".join(map(str, sizes))
