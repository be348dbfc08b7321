"""The operations of a step as numpy columns: what estimators compute with, many sizes a second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.growth import Integers, integers
from profiles.records import PHASES, Operation, PhaseTotals

QUANTITIES = ("flops", "model_flops", "executed_flops", "bytes_read", "bytes_written")
DIMENSIONS = ("m", "n", "k", "batch")
LABELS = ("family", "phase", "engine", "precision", "operator", "module", "source")


@dataclass(frozen=True, eq=False)
class Labels:
    """A column of names: `names[codes[row]]` is the name of a row."""

    codes: NDArray[np.intp]
    names: tuple[str, ...]

    @classmethod
    def of(cls, column: Iterable[str]) -> Labels:
        """Number the names in order of appearance."""
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(name, len(numbers)) for name in column]
        return cls(np.array(codes, dtype=np.intp), tuple(numbers))

    @cached_property
    def values(self) -> NDArray[np.str_]:
        """The names row by row."""
        return np.array(self.names, dtype=np.str_)[self.codes] if self.names else np.array([], dtype=np.str_)

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """Return in which rows one of these names stands."""
        return np.array([name in names for name in self.names], dtype=np.bool_)[self.codes]

    def map(self, figures: dict[str, float]) -> NDArray[np.float64]:
        """Return a figure for every row; nan where the name has none."""
        return np.array([figures.get(name, np.nan) for name in self.names], dtype=np.float64)[self.codes]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, eq=False)
class OperationTable:
    """One row for every distinct operation; numbers are for ONE call, `count` says how many calls.

    flops, model_flops, executed_flops, bytes_read, bytes_written
        as in `Operation`; int64, or Python integers (dtype object) where int64 could overflow
    count
        calls in one step
    dims
        sizes that decide the speed, by name ("m", "n", "k", "batch" of a product and others); nan where an operation
        has none of that name
    family, phase, engine, precision, operator, module, source
        names as `Labels`
    counted, recomputed
        as in `Operation`
    """

    flops: Integers
    model_flops: Integers
    executed_flops: Integers
    bytes_read: Integers
    bytes_written: Integers
    count: Integers
    dims: dict[str, NDArray[np.float64]]
    family: Labels
    phase: Labels
    engine: Labels
    precision: Labels
    operator: Labels
    module: Labels
    source: Labels
    counted: NDArray[np.bool_]
    recomputed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.count)

    @property
    def m(self) -> NDArray[np.float64]:
        """Rows of the products."""
        return self.dims["m"]

    @property
    def n(self) -> NDArray[np.float64]:
        """Columns of the products."""
        return self.dims["n"]

    @property
    def k(self) -> NDArray[np.float64]:
        """Length of the dot products."""
        return self.dims["k"]

    @property
    def batch(self) -> NDArray[np.float64]:
        """Products of this size in one call."""
        return self.dims["batch"]

    @cached_property
    def bytes_moved(self) -> Integers:
        """Bytes read plus bytes written, one call."""
        return self.bytes_read + self.bytes_written

    def totals(self, quantity: str, rows: NDArray[np.bool_] | None = None) -> PhaseTotals:
        """Sum a quantity times the count over the rows of each phase, exactly.

        Parameters
        ----------
        quantity
            A column of `QUANTITIES`, or "bytes_moved".
        rows
            Which rows to sum; all by default.
        """
        column: Integers = getattr(self, quantity)
        sums: dict[str, int] = {}
        for phase in PHASES:
            chosen = self.phase.mask(phase) if rows is None else self.phase.mask(phase) & rows
            sums[phase] = exact_sum(column[chosen], self.count[chosen])
        return PhaseTotals(**sums)


def exact_sum(values: Integers, counts: Integers) -> int:
    """Sum values times counts in Python integers, which cannot overflow."""
    return sum(map(mul, values.tolist(), counts.tolist()))


@dataclass(frozen=True, eq=False)
class TableLayout:
    """Which polynomial fills which cell, and the columns that no size changes."""

    quantities: dict[str, NDArray[np.intp]]
    dims: dict[str, NDArray[np.intp]]
    fixed: dict[str, Any]

    @classmethod
    def of(cls, operations: Sequence[Operation], slots: Sequence[tuple[int, ...]]) -> TableLayout:
        """Work out the layout; quantities and dims are the first numbers of `numbers_of`."""
        quantities = {name: np.array([each[at] for each in slots], dtype=np.intp) for at, name in enumerate(QUANTITIES)}
        fixed: dict[str, Any] = {name: Labels.of(getattr(op, name) for op in operations) for name in LABELS}
        for flag in ("counted", "recomputed"):
            fixed[flag] = np.array([getattr(op, flag) for op in operations], dtype=np.bool_)
        fixed["count"] = integers([op.count for op in operations])
        return cls(quantities, _dimension_slots(operations, slots), fixed)

    def fill(self, values: Integers) -> OperationTable:
        """Return the table for these values of the polynomials."""
        figures = np.append(values.astype(np.float64), np.nan)
        dims = {name: figures[rows] for name, rows in self.dims.items()}
        columns: dict[str, Any] = {name: values[rows] for name, rows in self.quantities.items()}
        return OperationTable(**columns, **self.fixed, dims=dims)


def _dimension_slots(operations: Sequence[Operation], slots: Sequence[tuple[int, ...]]) -> dict[str, NDArray[np.intp]]:
    """Return for every name of a dim the row that holds it, operation by operation; -1 where there is none."""
    places = {name: np.full(len(operations), -1, dtype=np.intp) for name in DIMENSIONS}
    for row, (operation, each) in enumerate(zip(operations, slots, strict=True)):
        for at, (name, _) in enumerate(operation.dims, start=len(QUANTITIES)):
            if name not in places:
                places[name] = np.full(len(operations), -1, dtype=np.intp)
            places[name][row] = each[at]
    return places
