"""The repeated layers of a model in order, and which part of each operation's calls belongs to each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from profiles.layers import Indices, layer_indices

if TYPE_CHECKING:
    from profiles.operation_trace import Recording
    from profiles.records import Operation

Floats = NDArray[np.float64]
Place = tuple[str, Indices]

FIRST, LAST = 0, -1
"""Parts of a model besides its layers: what comes before them (embedding) and after (head, loss)."""

OPTIMIZER: Final = "optimizer"


@dataclass(frozen=True, eq=False)
class Blocks:
    """The layers of a model as they are executed.

    Attributes
    ----------
    names
        module path of each layer
    shares
        (2 + layers, operations): which share of an operation's calls falls to what comes before the layers, to each
        layer, and to what comes after; operations of the optimizer fall to none
    """

    names: tuple[str, ...]
    shares: Floats

    @property
    def count(self) -> int:
        """Number of layers."""
        return len(self.names)

    @cached_property
    def kinds(self) -> NDArray[np.intp]:
        """Number of the kind of each part; parts that run the same operations equally often are of one kind."""
        number: dict[bytes, int] = {}
        return np.array([number.setdefault(row.tobytes(), len(number)) for row in self.shares > 0], dtype=np.intp)

    @cached_property
    def uniform(self) -> bool:
        """Whether all layers are of one kind."""
        return len(set(self.kinds[1:-1].tolist())) <= 1

    def operations_of(self, part: int) -> NDArray[np.intp]:
        """Return the operations of a part in the order in which they first run."""
        return np.flatnonzero(self.shares[part] > 0)

    def per_part(self, values: Floats) -> Floats:
        """Sum what all calls of each operation take, (..., operations), for every part: (..., parts)."""
        sums: Floats = values @ self.shares.T
        return sums


@lru_cache(maxsize=65536)
def places_of(path: str) -> tuple[Place, ...]:
    """Return the layers that a module path belongs to, as (path up to the index, index); none outside of layers.

    The outermost index counts, with those directly below it: "blocks.[0-1].3.conv" belongs to ("blocks", (0, 3)) and
    ("blocks", (1, 3)).
    """
    components = path.split(".")
    layers = [layer_indices(component) for component in components]
    start = next((at for at, each in enumerate(layers) if each is not None), None)
    if start is None:
        return ()
    chosen = []
    for each in layers[start:]:
        if each is None:
            break
        chosen.append(each)
    return tuple((".".join(components[:start]), index) for index in product(*chosen))


@lru_cache(maxsize=64)
def blocks_of(recording: Recording) -> Blocks:
    """Work out the layers of a recording; a model without repeated layers has none, and all of it comes before."""
    operations = recording.operations
    places = _ordered_places(operations)
    rows = {place: row for row, place in enumerate(places, start=1)}
    shares = np.zeros((len(places) + 2, len(operations)))
    outside = _outside(operations)
    for column, operation in enumerate(operations):
        if operation.phase == OPTIMIZER:
            continue
        found = places_of(operation.module)
        for place in found:
            shares[rows[place], column] += 1 / len(found)
        if not found:
            shares[outside.get(operation.module, LAST), column] = 1.0
    names = tuple(".".join([name, *map(str, index)]).lstrip(".") for name, index in places)
    return Blocks(names, shares)


def _ordered_places(operations: tuple[Operation, ...]) -> list[Place]:
    """Stacks of layers in the order in which they first run, the layers of each by index."""
    stacks: dict[str, set[Indices]] = {}
    for operation in operations:
        if operation.phase != OPTIMIZER:
            for name, index in places_of(operation.module):
                stacks.setdefault(name, set()).add(index)
    return [(name, index) for name, found in stacks.items() for index in sorted(found)]


def _outside(operations: tuple[Operation, ...]) -> dict[str, int]:
    """Say of the modules outside of layers whether they run before the layers (the first time) or after."""
    part, parts = FIRST, dict[str, int]()
    for operation in operations:
        if operation.phase == "forward":
            inside = places_of(operation.module)
            part = LAST if inside else part
            if not inside:
                parts.setdefault(operation.module, part)
    return parts
