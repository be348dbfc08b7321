"""Which operations of a recording are products with weights, and which of their sizes belongs to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from profiles.layers import split_path

if TYPE_CHECKING:
    from profiles.operation_trace import Recording
    from profiles.records import Operation

Axes = tuple[int, int, int]

GROUPED: Final = ("aten._grouped_mm", "transformers.grouped_mm_fallback")
TOP_K: Final = "aten.topk"
BATCHED: Final = ("aten.bmm", "aten.baddbmm")
OUT, INTO, ROWS = range(3)
_FORWARD: Final[Axes] = (1, 2, 0)
_ORDERS: Final[tuple[Axes, ...]] = (_FORWARD, (2, 1, 0), (0, 1, 2), (1, 0, 2))
"""Where features out, features in and rows stand among m, n, k: forward, gradient of the input, gradient of the
weight stored (out, in) and stored (in, out)."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A product with a weight, as the forward pass calls it.

    Attributes
    ----------
    module
        path with "[]" for layer indices
    out, into, rows
        features of its output, of its input, and rows that it multiplies
    experts
        number of experts whose weights it holds; 0 for ordinary layers
    shared_rows
        whether every expert multiplies all rows (a batched product) and not each its own (a grouped one)
    """

    module: str
    out: int
    into: int
    rows: int
    experts: int = 0
    shared_rows: bool = False

    def axes(self, m: int, n: int, k: int) -> Axes | None:
        """Return which of m, n, k (0, 1, 2) are features out, features in and rows; None for another product."""
        sizes, mine = (m, n, k), (self.out, self.into, self.rows)
        return next((order for order in _ORDERS if all(sizes[at] == mine[i] for i, at in enumerate(order))), None)


@dataclass(frozen=True, eq=False)
class Products:
    """The matrix products of a recording and their sizes at its first run.

    `owned` is how many parameters of their own the modules (with "[]" for layer indices) have that have any, each time
    that they occur.
    """

    recording: Recording
    owned: Mapping[str, float]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All operations."""
        return self.recording.operations

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """Module path of each operation with "[]" for layer indices."""
        return tuple(split_path(operation.module)[0] for operation in self.operations)

    def linear(self, row: int) -> Linear | None:
        """Return the product with a weight that a forward operation is, or None."""
        operation, sizes = self.operations[row], self.sizes(row)
        if operation.family != "matmul" or sizes is None or self.patterns[row] not in self.owned:
            return None
        m, n, k, batch = sizes
        module = self.patterns[row]
        if operation.operator in GROUPED and len(operation.inputs[1].shape) == 3:
            return Linear(module, n, k, m, experts=operation.inputs[1].shape[0])
        if operation.operator in BATCHED and self._fixed_batch[row] and batch * n * k <= self.owned[module]:
            return Linear(module, n, k, m, experts=batch, shared_rows=True)
        return None if batch > 1 else Linear(module, n, k, m)

    def sizes(self, row: int) -> tuple[int, int, int, int] | None:
        """Return m, n, k and batch of an operation; None where it is no product."""
        dims: Mapping[str, int] = dict(self.operations[row].dims)
        if not {"m", "n", "k"} <= dims.keys():
            return None
        return dims["m"], dims["n"], dims["k"], dims.get("batch", 1)

    @cached_property
    def _fixed_batch(self) -> NDArray[np.bool_]:
        """Whether the number of products in a call is the same at all sizes: experts, where it is not 1.

        A recording of one size cannot tell; there, modules with batched weights in models that choose experts do.
        """
        sizes = self.recording.sizes
        growing = np.array([any(monomial) for monomial in sizes.monomials], dtype=np.bool_)
        if not growing.any():
            return np.full(len(self.operations), any(each.operator == TOP_K for each in self.operations))
        matrix = np.array(sizes.coefficients, dtype=object).reshape(-1, len(sizes.monomials))
        fixed = np.append(~(matrix[:, growing] != 0).any(axis=1), True)
        return fixed[self.recording.layout.dims["batch"]]
