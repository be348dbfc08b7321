"""What a recording says of images of other sizes: the operations and parameters of a model by batch size and side.

Convolutions and pooling round up or down to their strides, so that a law holds for sides that leave the same rest by
the stride of the whole network: multiples of 32 for a ResNet, of the patch for a vision transformer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd

from hardware_db.errors import UsageError
from profiles.growth import SizePolynomials
from profiles.operation_trace import OperationTrace, Recording


@dataclass(frozen=True)
class ImageSizes:
    """Recordings in which the side of an image takes the place of the sequence length.

    recording    for batch sizes from 2 up
    single       for batch size 1; None if that was not traced
    modules      paths of the modules with parameters, as in `ModelProfile.module_parameters`
    parameters   all parameters, the trainable ones, and those of each of `modules`, as polynomials in the side
    patches      one polynomial in the side: how many patches attention sees, 1 where nothing depends on it
    """

    recording: Recording
    single: Recording | None
    modules: tuple[str, ...]
    parameters: SizePolynomials
    patches: SizePolynomials

    def __hash__(self) -> int:
        # Cheap and consistent with equality, as for `Recording`.
        return hash((self.recording, self.single))

    @cached_property
    def step(self) -> int:
        """How far apart the sides are for which something is proven; 0 if one side was traced."""
        return gcd(*(side - self.first for side in self._sides))

    @cached_property
    def first(self) -> int:
        """The smallest side that was traced."""
        return min(self._sides)

    @cached_property
    def _sides(self) -> tuple[int, ...]:
        return tuple(side for _, side in self.recording.runs if side is not None)

    def covers(self, side: int) -> bool:
        """Whether something is proven for this side."""
        return side == self.first or (side > self.first and bool(self.step) and (side - self.first) % self.step == 0)

    def check(self, side: int) -> None:
        """Refuse sides for which nothing is proven.

        Raises
        ------
        UsageError
            Naming the sides that would work.
        """
        if self.covers(side):
            return
        rest = self.first % self.step if self.step else 0
        works = f"{self.first}, {self.first + self.step}, {self.first + 2 * self.step} ..."
        kind = f"multiples of {self.step} from {self.first} up" if not rest else works
        raise UsageError(
            f"The profile holds for images of {kind} pixels a side; given: {side}. "
            f"Profile the model at this size: --image-size {side}"
        )

    def trace_at(self, batch_size: int, side: int) -> OperationTrace:
        """Return the trace for images of a side, for any batch size.

        Raises
        ------
        UsageError
            If nothing is proven for this side.
        """
        self.check(side)
        recording, single = _pinned(self, side)
        trace = OperationTrace(recording, batch_size, None, single)
        trace.current.check(batch_size, None)
        return trace

    def parameters_at(self, side: int) -> tuple[int, int, tuple[tuple[str, int], ...]]:
        """Return all parameters, the trainable ones and those of each module, as `trace_at` does the trace."""
        self.check(side)
        total, trainable, *owned = self.parameters.at(1, side).tolist()
        return total, trainable, tuple(zip(self.modules, owned, strict=True))


@lru_cache(maxsize=16)
def _pinned(images: ImageSizes, side: int) -> tuple[Recording, Recording | None]:
    patches = int(images.patches.at(1, side)[0])
    single = None if images.single is None else images.single.pinned(side, patches)
    return images.recording.pinned(side, patches), single
