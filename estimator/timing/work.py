"""What any device has to do for the operations of a table: matrix products, fused attention, memory traffic.

A convolution is an implicit matrix product (Chetlur et al. 2014, arXiv:1410.0759): positions x channels out x (channels
in x kernel). Its backward pass is two more, one by the input and one by the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.timing.settings import Floats
from estimator.timing.traffic_classes import TRAFFIC_CLASSES, traffic_class

if TYPE_CHECKING:
    from profiles.tables import Labels, OperationTable

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

ROLES: Final = ("matmul", "forward", "data", "weight")
MATMUL, FORWARD, DATA, WEIGHT = range(4)
"""What a product is: a plain one, a convolution, its gradient by the input, its gradient by the weight."""

MAPPED_BYTES: Final = 32 * 2**20
"""Results from this size on come from the system and go back to it each time: the largest value of glibc's dynamic
M_MMAP_THRESHOLD on 64 bits (mallopt(3))."""

ELEMENT_BYTES: Final = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2, "float8": 1, "int8": 1}


@dataclass(frozen=True, eq=False)
class Products:
    """`batch` products (m x k) by (k x n) each; `row` is the operation they belong to.

    `kernel` is the number of elements of a convolution's kernel (0 for a plain product), `stride` how many positions
    of the larger map there are for one of the smaller; `moved` the bytes they read and write.
    """

    row: Rows
    role: NDArray[np.intp]
    m: Floats
    n: Floats
    k: Floats
    batch: Floats
    kernel: Floats
    stride: Floats
    moved: Floats

    @property
    def flops(self) -> Floats:
        """FLOPs of each, 2 a multiply-add."""
        return 2 * self.m * self.n * self.k * self.batch

    @property
    def channels_in(self) -> Floats:
        """Input channels of a group of a convolution; nan for a plain product."""
        kernel = np.where(self.kernel > 0, self.kernel, np.nan)
        return np.where(self.role == DATA, self.n, np.where(self.role == WEIGHT, self.n, self.k) / kernel)

    @property
    def channels_out(self) -> Floats:
        """Output channels of a group of a convolution; nan for a plain product."""
        kernel = np.where(self.kernel > 0, self.kernel, np.nan)
        return np.where(self.role == DATA, self.k / kernel, np.where(self.role == WEIGHT, self.m, self.n))

    @property
    def depthwise(self) -> Mask:
        """Which are convolutions with one input channel a group."""
        chosen: Mask = (self.role != MATMUL) & (self.batch > 1) & (self.channels_in <= 1)
        return chosen


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels that are bound by their FLOPs and not one product: attention, others.

    `plain` are products whose sizes are unknown (of models declared by their FLOPs); `blocks` is how many independent
    blocks of 128 queries attention has, inf where unknown; `depth` the features of a head, nan for others.
    """

    row: Rows
    attention: Mask
    plain: Mask
    backward: Mask
    flops: Floats
    blocks: Floats
    depth: Floats
    moved: Floats


@dataclass(frozen=True, eq=False)
class Recurrent:
    """Recurrent layers in one call: `steps` products (m x k) by (k x n) that wait for each other, of `flops` in all."""

    row: Rows
    m: Floats
    n: Floats
    k: Floats
    steps: Floats
    flops: Floats
    element_bytes: Floats
    moved: Floats


@dataclass(frozen=True, eq=False)
class Work:
    """A table sorted by what bounds its operations; `n` rows in all.

    Attributes
    ----------
    products, recurrent, kernels
        what multiplies
    traffic
        rows that only move data, their class (index into `TRAFFIC_CLASSES`), bytes, and whether elements are 16 bits
    calls
        how often each row runs
    backward, optimizer
        rows of those phases
    issued
        rows that a host has to issue (views are free)
    fresh
        bytes that each row writes into memory that the allocator of a CPU fetches anew from the system
    """

    n: int
    products: Products
    recurrent: Recurrent
    kernels: Kernels
    traffic_row: Rows
    traffic_class: NDArray[np.intp]
    traffic_bytes: Floats
    traffic_half: Mask
    calls: Floats
    backward: Mask
    optimizer: Mask
    issued: Mask
    fresh: Floats


@lru_cache(maxsize=4096)
def work_of(table: OperationTable) -> Work:
    """Sort the operations of a table by what bounds them."""
    moved = _floats(table.bytes_read) + _floats(table.bytes_written)
    multiplies = table.engine.mask("matrix") & (_floats(table.executed_flops) > 0)
    product = multiplies & table.family.mask("matmul", "convolution") & (_dim(table, "m", 0.0) > 0)
    recurrent = multiplies & table.family.mask("rnn") & (_dim(table, "steps", 0.0) > 0)
    issued = ~table.family.mask("view")
    traffic = np.flatnonzero(issued & ~multiplies)
    return Work(
        n=len(table),
        products=_products(table, product, moved),
        recurrent=_recurrent(table, np.flatnonzero(recurrent), moved),
        kernels=_kernels(table, multiplies & ~product & ~recurrent, moved),
        traffic_row=traffic,
        traffic_class=_classes(table)[traffic],
        traffic_bytes=(moved * _passes(table))[traffic],
        traffic_half=table.precision.mask("float16", "bfloat16")[traffic],
        calls=_floats(table.count),
        backward=table.phase.mask("backward"),
        optimizer=table.phase.mask("optimizer"),
        issued=issued,
        fresh=_fresh(table),
    )


def _floats(column: NDArray[np.generic]) -> Floats:
    return column.astype(np.float64)


def _dim(table: OperationTable, name: str, missing: float) -> Floats:
    column = table.dims.get(name)
    return np.full(len(table), missing) if column is None else np.nan_to_num(column, nan=missing)


def _names_with(labels: Labels, part: str) -> Mask:
    return np.array([part in name for name in labels.names], dtype=np.bool_)[labels.codes]


def _classes(table: OperationTable) -> NDArray[np.intp]:
    """Class of memory traffic of every row, by operator and family."""
    pairs = table.operator.codes * len(table.family.names) + table.family.codes
    unique, back = np.unique(pairs, return_inverse=True)
    places = [divmod(int(pair), len(table.family.names)) for pair in unique]
    training = bool(table.phase.mask("backward").any())
    names = [traffic_class(table.operator.names[op], table.family.names[family], training) for op, family in places]
    return np.array([TRAFFIC_CLASSES.index(name) for name in names], dtype=np.intp)[back]


def _fresh(table: OperationTable) -> Floats:
    """Bytes of results too large to be kept for reuse; operations in place ("aten.add_") have none."""
    in_place = np.array([name.endswith("_") for name in table.operator.names], dtype=np.bool_)[table.operator.codes]
    written = _floats(table.bytes_written)
    return np.where(in_place | (written < MAPPED_BYTES), 0.0, written)


def _passes(table: OperationTable) -> Floats:
    """How often normalisations move what they must move at least once (PyTorch's native kernels).

    Batch normalisation in training reads its input twice, for the statistics and to apply them: 3 passes for 2. The
    backward pass of any reads gradient and input twice: 5 for 3.
    """
    backward = table.phase.mask("backward")
    norm = table.family.mask("normalisation")
    batch_norm = norm & _names_with(table.operator, "batch_norm") & bool(backward.any())
    return np.where(norm & backward, 5 / 3, np.where(batch_norm, 3 / 2, 1.0))


def _products(table: OperationTable, chosen: Mask, moved: Floats) -> Products:
    convolution = table.family.mask("convolution")
    backward = convolution & _names_with(table.operator, "backward")
    both = _dim(table, "products", 1.0) >= 2
    parts = [
        _plain(table, np.flatnonzero(chosen & ~convolution), MATMUL, moved),
        _plain(table, np.flatnonzero(chosen & convolution & ~backward), FORWARD, moved),
        _data(table, np.flatnonzero(chosen & backward & both), moved),
        _weight(table, np.flatnonzero(chosen & backward), moved, both),
    ]
    return Products(*(np.concatenate(column) for column in zip(*parts, strict=True)))


Part = tuple[Rows, NDArray[np.intp], Floats, Floats, Floats, Floats, Floats, Floats, Floats]


def _sizes(table: OperationTable, rows: Rows) -> dict[str, Floats]:
    names = {"m": 1.0, "n": 1.0, "k": 1.0, "batch": 1.0, "kernel": 0.0, "positions": 0.0, "products": 1.0}
    return {name: _dim(table, name, missing)[rows] for name, missing in names.items()}


def _stride(size: dict[str, Floats]) -> Floats:
    wide, narrow = np.maximum(size["positions"], size["m"]), np.minimum(size["positions"], size["m"])
    return np.where(narrow > 0, wide / np.maximum(narrow, 1.0), 1.0)


def _plain(table: OperationTable, rows: Rows, role: int, moved: Floats) -> Part:
    size = _sizes(table, rows)
    batch = size["batch"] * (size["products"] if role == MATMUL else 1.0)
    kind = np.full(len(rows), role)
    return rows, kind, size["m"], size["n"], size["k"], batch, size["kernel"], _stride(size), moved[rows]


def _half_traffic(table: OperationTable, rows: Rows, moved: Floats, both: Mask) -> Floats:
    """Bytes of one of the two gradients: half of what is read and written once, and the output's gradient again."""
    size = _sizes(table, rows)
    element = _element_bytes(table)[rows]
    gradient = size["m"] * size["n"] * size["batch"] * element
    return np.where(both[rows], (moved[rows] + gradient) / 2, moved[rows])


def _element_bytes(table: OperationTable) -> Floats:
    return np.nan_to_num(table.precision.map({k: float(v) for k, v in ELEMENT_BYTES.items()}), nan=4.0)


def _recurrent(table: OperationTable, rows: Rows, moved: Floats) -> Recurrent:
    size = _sizes(table, rows)
    return Recurrent(
        row=rows,
        m=size["m"],
        n=size["n"],
        k=size["k"],
        steps=_dim(table, "steps", 1.0)[rows],
        flops=_floats(table.executed_flops)[rows],
        element_bytes=_element_bytes(table)[rows],
        moved=moved[rows],
    )


def _data(table: OperationTable, rows: Rows, moved: Floats) -> Part:
    size = _sizes(table, rows)
    both = np.ones(len(table), dtype=np.bool_)
    channels = size["k"] / np.maximum(size["kernel"], 1.0)
    traffic = _half_traffic(table, rows, moved, both)
    kind = np.full(len(rows), DATA)
    reach = size["n"] * size["kernel"]
    return rows, kind, size["m"], channels, reach, size["batch"], size["kernel"], _stride(size), traffic


def _weight(table: OperationTable, rows: Rows, moved: Floats, both: Mask) -> Part:
    size = _sizes(table, rows)
    traffic = _half_traffic(table, rows, moved, both)
    kind = np.full(len(rows), WEIGHT)
    return rows, kind, size["n"], size["k"], size["m"], size["batch"], size["kernel"], _stride(size), traffic


def _kernels(table: OperationTable, chosen: Mask, moved: Floats) -> Kernels:
    rows = np.flatnonzero(chosen)
    attention = table.family.mask("attention")[rows]
    size = _sizes(table, rows)
    return Kernels(
        row=rows,
        attention=attention,
        plain=table.family.mask("matmul", "convolution")[rows],
        backward=_names_with(table.operator, "backward")[rows],
        flops=_floats(table.executed_flops)[rows],
        blocks=np.where(attention, size["batch"] * np.ceil(size["m"] / 128), np.inf),
        depth=np.where(attention & (size["k"] > 1), size["k"], np.nan),
        moved=moved[rows],
    )
