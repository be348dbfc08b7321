"""What an operation of a CPU costs: amounts of work times costs, both by class. Nothing here needs torch.

    seconds = launch + sum of (amount x cost)

A product costs its FLOPs and, because short sides reuse less of what was fetched and packed, the elements of its three
matrices. Everything else costs its bytes, those from memory more than those from a cache (Williams, Waterman and
Patterson 2009, Roofline, but costs are added where a roofline takes the larger one: cores wait for memory while they
compute). The costs are figures of a machine profile, "cost.<class>.<amount>"; `profiles.benchmark.fitting` fits them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hardware_db.errors import DataError
from profiles.benchmark.operators import traffic_like
from profiles.tables import OperationTable

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
Figures = Mapping[str, float]

PRODUCT_AMOUNTS: Final = ("flops", "left_elements", "right_elements", "result_elements", "matrices")
CONVOLUTION_AMOUNTS: Final = (
    "flops",
    "flops_per_channel_in",
    "flops_per_channel_out",
    "input_elements",
    "output_elements",
    "weight_elements",
)
KERNEL_AMOUNTS: Final = ("flops", "bytes", "calls")
TRAFFIC_AMOUNTS: Final = ("cache_bytes", "memory_bytes")

MAX_POOL: Final = "aten.max_pool2d_with_indices"
"""Compares window by window: bound by that, not by its bytes."""

MAPPED_BYTES: Final = 32 << 20
"""Results from this size on get new pages each time: the largest value of glibc's dynamic M_MMAP_THRESHOLD on 64 bits
(mallopt(3))."""

REACH: Final = 16.0
"""How many times its own bytes pass before an operation's data are used again: other tensors of its layer, and for what
the backward pass or the optimizer need those of all later ones. Chosen on `benchmarks/cpu_steps.py`; 8 and 32 do
as well."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What the operations of one class do: `values[i, j]` of amount `names[j]` in one call of row `rows[i]`."""

    kind: str
    names: tuple[str, ...]
    rows: Rows
    values: Floats

    def costs(self, figures: Figures) -> Floats:
        """Return the cost of each amount, nan where it was not measured.

        An operator that only moves data and was left out of a benchmark that was stopped early costs what an addition
        does.
        """
        kind = self.kind
        if kind.startswith("traffic.") and f"cost.{kind}.{self.names[0]}" not in figures:
            kind = "traffic.add"
        return np.array([figures.get(f"cost.{kind}.{name}", np.nan) for name in self.names])


def product_amounts(table: OperationTable) -> Iterator[Amounts]:
    """Yield the amounts of what multiplies or compares, class by class."""
    flops = _floats(table.executed_flops)
    multiplies = (flops > 0) & table.engine.mask("matrix")
    backward = np.array(["backward" in name for name in table.operator.names], dtype=np.bool_)[table.operator.codes]
    moved = _floats(table.bytes_read) + _floats(table.bytes_written)
    kernels = np.stack([flops, moved, np.ones(len(table))], axis=1)
    yield _products(table, multiplies & table.family.mask("matmul"))
    pooling = np.flatnonzero(table.operator.mask(MAX_POOL))
    yield Amounts("max_pool", KERNEL_AMOUNTS, pooling, kernels[pooling])
    convolution = multiplies & table.family.mask("convolution")
    depthwise = convolution & _depthwise(table)
    for phase, chosen in (("forward", ~backward), ("backward", backward)):
        yield _convolutions(table, f"convolution.{phase}", convolution & ~depthwise & chosen)
        for kind, rows in (
            (f"depthwise.{phase}", depthwise & chosen),
            (f"attention.{phase}", multiplies & table.family.mask("attention") & chosen),
            (f"recurrent.{phase}", multiplies & table.family.mask("rnn") & chosen),
        ):
            yield Amounts(kind, KERNEL_AMOUNTS, np.flatnonzero(rows), kernels[rows])


def traffic_amounts(table: OperationTable, figures: Figures) -> Iterator[Amounts]:
    """Yield the bytes of what multiplies nothing, operator by operator, split into those from cache and from memory."""
    multiplies = (_floats(table.executed_flops) > 0) & table.engine.mask("matrix")
    issued = ~(multiplies | table.family.mask("view") | table.operator.mask(MAX_POOL))
    moved = _floats(table.bytes_read) + _floats(table.bytes_written)
    far = memory_share(touched_bytes(table), figures)
    values = np.stack([moved * (1 - far), moved * far], axis=1)
    pairs = table.operator.codes * len(table.family.names) + table.family.codes
    for pair in np.unique(pairs[issued]):
        operator, family = divmod(int(pair), len(table.family.names))
        kind = traffic_like(table.operator.names[operator], table.family.names[family])
        rows = np.flatnonzero(issued & (pairs == pair))
        yield Amounts(f"traffic.{kind}", TRAFFIC_AMOUNTS, rows, values[rows])


def touched_bytes(table: OperationTable) -> Floats:
    """Return how many bytes pass between two uses of an operation's data."""
    return REACH * (_floats(table.bytes_read) + _floats(table.bytes_written))


def memory_share(touched: Floats, figures: Figures) -> Floats:
    """Return which share of its bytes an operation gets from memory that touches so many of them."""
    near, far = figures["cache.near_share"], 1 - figures["cache.near_share"]
    reached = [1 / (1 + (figures[name] / np.maximum(touched, 1.0)) ** 3) for name in _CACHES]
    return near * reached[0] + far * reached[1]


_CACHES: Final = ("cache.near_bytes", "cache.far_bytes")


def fresh_bytes(table: OperationTable) -> Floats:
    """Return the bytes that each operation writes to new pages; operations in place ("aten.add_") to none."""
    in_place = np.array([name.endswith("_") for name in table.operator.names], dtype=np.bool_)[table.operator.codes]
    written = _floats(table.bytes_written)
    return np.where(in_place | (written < MAPPED_BYTES), 0.0, written)


def _floats(column: NDArray[np.generic]) -> Floats:
    return column.astype(np.float64)


def _sizes(table: OperationTable, rows: Rows) -> dict[str, Floats]:
    missing = {"m": 1.0, "n": 1.0, "k": 1.0, "batch": 1.0, "kernel": 1.0, "positions": np.nan, "products": 1.0}
    blank = np.full(len(table), np.nan)
    sizes = {name: np.nan_to_num(table.dims.get(name, blank)[rows], nan=value) for name, value in missing.items()}
    return {**sizes, "products": np.maximum(sizes["products"], 1.0)}


def _depthwise(table: OperationTable) -> Mask:
    sizes = _sizes(table, np.arange(len(table)))
    chosen: Mask = (sizes["batch"] > 1) & (sizes["k"] <= sizes["kernel"])
    return chosen


def _products(table: OperationTable, chosen: Mask) -> Amounts:
    rows = np.flatnonzero(chosen)
    s = _sizes(table, rows)
    m, n, k, each = s["m"], s["n"], s["k"], s["batch"] * s["products"]
    columns = [2 * m * n * k * each, each * m * k, each * k * n, each * m * n, each]
    return Amounts("matmul", PRODUCT_AMOUNTS, rows, np.stack(columns, axis=1))


def _convolutions(table: OperationTable, kind: str, chosen: Mask) -> Amounts:
    """M positions x n channels out x k (channels in x kernel); both gradients are twice that."""
    rows = np.flatnonzero(chosen)
    s = _sizes(table, rows)
    flops = 2 * s["m"] * s["n"] * s["k"] * s["batch"] * s["products"]
    channels = s["k"] / s["kernel"]
    positions = np.where(np.isnan(s["positions"]), s["m"], s["positions"])
    elements = s["batch"] * s["products"]
    columns = [
        flops,
        flops / channels,
        flops / s["n"],
        elements * positions * channels,
        elements * s["m"] * s["n"],
        elements * s["n"] * s["k"],
    ]
    return Amounts(kind, CONVOLUTION_AMOUNTS, rows, np.stack(columns, axis=1))


@dataclass(frozen=True, slots=True)
class RowSeconds:
    """Seconds of ONE call of each operation: nan in `work` where a class of operations was not measured."""

    compute: Floats
    memory: Floats
    launch: Floats

    @property
    def work(self) -> Floats:
        """Everything but starting the operation."""
        return self.compute + self.memory

    @property
    def total(self) -> Floats:
        """All of it."""
        return self.work + self.launch


_LAUNCH: Final = {"forward": "launch.forward", "backward": "launch.backward", "optimizer": "launch.optimizer"}
_COMPUTE: Final = ("flops", "flops_per_channel_in", "flops_per_channel_out")


def seconds_by_row(table: OperationTable, figures: Figures, launch: str = "") -> RowSeconds:
    """Return what each operation of a table costs on the CPU that these figures were measured on.

    Parameters
    ----------
    table
        operations, traced for a CPU
    figures
        values by name, as `MachineProfile.values` gives them
    launch
        "operation": every call is started by itself, outside of any model

    Raises
    ------
    DataError
        The benchmark was stopped before it had measured the caches, on which everything else rests.
    """
    if "cache.near_share" not in figures:
        raise DataError("The machine profile has no costs of operations: it was stopped too early. Benchmark again")
    compute, memory = np.zeros(len(table)), np.zeros(len(table))
    factor = np.nan_to_num(table.precision.map({n: figures.get(f"precision.{n}", 1.0) for n in table.precision.names}))
    for each in product_amounts(table):
        costs = each.costs(figures) * factor[each.rows, None]
        arithmetic = np.isin(each.names, _COMPUTE)
        compute[each.rows] += (each.values * costs)[:, arithmetic].sum(axis=1)
        memory[each.rows] += (each.values * costs)[:, ~arithmetic].sum(axis=1)
    for each in traffic_amounts(table, figures):
        memory[each.rows] += (each.values * each.costs(figures)).sum(axis=1)
    fresh = fresh_bytes(table)
    memory += np.where(fresh > 0, fresh * figures.get("fresh.s_per_byte", np.nan), 0.0)
    return RowSeconds(compute, memory, _launch(table, figures, launch))


def _launch(table: OperationTable, figures: Figures, alone: str) -> Floats:
    if alone:
        started = np.full(len(table), figures[f"launch.{alone}"])
        return np.where(table.family.mask("view"), 0.0, started)
    by_phase = table.phase.map({phase: figures.get(name, np.nan) for phase, name in _LAUNCH.items()})
    view = figures.get("launch.view", 0.0)
    module = figures.get("launch.module", 0.0) - figures.get("launch.forward", 0.0)
    started = np.where(table.family.mask("view"), view, by_phase)
    return started + max(module, 0.0) * _module_calls(table) / np.maximum(_floats(table.count), 1.0)


def _module_calls(table: OperationTable) -> Floats:
    """Return how many calls of modules each row stands for: those of a module go to its rarest forward operation."""
    forward = np.flatnonzero(table.phase.mask("forward"))
    order = forward[np.lexsort((table.count[forward].astype(np.float64), table.module.codes[forward]))]
    _, first = np.unique(table.module.codes[order], return_index=True)
    calls = np.zeros(len(table))
    calls[order[first]] = _floats(table.count)[order[first]]
    return calls
