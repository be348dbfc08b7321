"""From timings to the figures of a machine profile: plain ones of every device, and the costs of a CPU.

Costs are fitted by non-negative least squares of relative residuals, reweighted so that a case that was disturbed
counts by its residual and not by its square. Nothing here needs torch.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import least_squares, nnls

from profiles.benchmark.costs import Amounts, Floats, product_amounts, seconds_by_row
from profiles.benchmark.operators import traffic_like
from profiles.machine_profile import FittedFigure, Timing
from profiles.records import Operation
from profiles.tables import LABELS, QUANTITIES, Labels, OperationTable

SUSTAINED: Final = ("matmul", "convolution", "attention")
TRAFFIC: Final = (
    "elementwise",
    "normalisation",
    "softmax",
    "reduction",
    "pooling",
    "random",
    "embedding",
    "copy",
)
PRODUCTS: Final = ("matmul", "convolution", "attention", "recurrent", "pooling")
LAUNCHES: Final = {
    "launch.operation": "launch of one operation",
    "launch.forward": "launch of an operation of a forward pass",
    "launch.module": "launch of a module of a forward pass",
    "launch.view": "launch of a view of a forward pass",
    "launch.backward": "launch of an operation of a backward pass",
    "launch.optimizer": "launch of AdamW of one parameter",
}
TRANSFERS: Final = {"transfer.to_device": "host to device, pinned", "transfer.from_device": "device to host, pinned"}
SWEEP: Final = "addition float32 of "
NOISE: Final = 0.1
"""Relative residual from which on a case counts less."""

ROUNDS: Final = 10
SMALLEST_SWEEP_BYTES: Final = 100_000
"""Below this an addition is the cost of starting it."""


def fit_figures(kind: str, timings: Sequence[Timing]) -> tuple[FittedFigure, ...]:
    """Return the figures that follow from the timings of a device of a kind ("cpu", "gpu").

    What was not timed, because it does not exist or because somebody stopped early, has no figure.
    """
    figures = [*_sustained(timings), *_bandwidths(timings), *_launches(timings), *_transfers(timings)]
    if kind == "cpu":
        figures += _Costs(timings, figures).fitted()
    return tuple(figures)


def table_of(operations: Sequence[Operation]) -> OperationTable:
    """Return operations as the table that estimators compute with."""
    numbers: dict[str, Any] = {
        name: np.array([getattr(each, name) for each in operations]) for name in (*QUANTITIES, "count")
    }
    labels: dict[str, Any] = {name: Labels.of(getattr(each, name) for each in operations) for name in LABELS}
    flags: dict[str, Any] = {
        name: np.array([getattr(each, name) for each in operations]) for name in ("counted", "recomputed")
    }
    sizes = [dict(each.dims) for each in operations]
    names = dict.fromkeys(name for each in sizes for name in each)
    dims = {name: np.array([float(each.get(name, np.nan)) for each in sizes]) for name in names}
    return OperationTable(**numbers, **labels, **flags, dims=dims)


def _sustained(timings: Sequence[Timing]) -> Iterator[FittedFigure]:
    rates: dict[str, list[float]] = {}
    for timing in timings:
        if timing.family in SUSTAINED and timing.flops:
            rates.setdefault(f"sustained.{timing.family}.{timing.precision}", []).append(
                timing.flops / timing.typical_s
            )
    for name, found in rates.items():
        yield FittedFigure(name, max(found), "FLOP/s", 0.0, len(found))


def _bandwidths(timings: Sequence[Timing]) -> Iterator[FittedFigure]:
    largest = max((each.moved_bytes for each in timings if each.name.startswith(SWEEP)), default=0)
    for name, chosen in (
        ("bandwidth.copy", [each for each in timings if each.name.startswith("memory copy")]),
        ("bandwidth.elementwise", [t for t in timings if t.name.startswith(SWEEP) and t.moved_bytes == largest]),
    ):
        for timing in chosen:
            yield FittedFigure(name, timing.moved_bytes / timing.typical_s, "bytes/s", timing.spread, 1)


def _launches(timings: Sequence[Timing]) -> Iterator[FittedFigure]:
    found = {timing.name: timing for timing in timings}
    for name, case in LAUNCHES.items():
        if case in found:
            timing = found[case]
            calls = sum(each.count for each in timing.operations)
            per_call = 1 if name != "launch.optimizer" else max(1, calls // 16)
            yield FittedFigure(name, timing.typical_s / per_call, "s", timing.spread, 1)


def _transfers(timings: Sequence[Timing]) -> Iterator[FittedFigure]:
    for name, start in TRANSFERS.items():
        for timing in timings:
            if timing.name.startswith(start):
                yield FittedFigure(name, timing.moved_bytes / timing.typical_s, "bytes/s", timing.spread, 1)


@dataclass
class _Costs:
    """Fits the costs of a CPU, one after the other: each later one takes away what the earlier ones explain."""

    timings: Sequence[Timing]
    plain: Sequence[FittedFigure]

    def fitted(self) -> list[FittedFigure]:
        """Return all costs; none without the cases that everything else rests on."""
        values = {each.name: each.value for each in self.plain}
        cache = self._cache(values)
        if cache is None or "launch.operation" not in values:
            return []
        values.update({each.name: each.value for each in cache})
        figures = [*cache, *self._fresh(), *self._traffic(values)]
        values.update({each.name: each.value for each in figures})
        for family in PRODUCTS:
            found = self._products(family, values)
            values.update({each.name: each.value for each in found})
            figures += found
        return figures + self._precisions(values)

    def _cache(self, values: Mapping[str, float]) -> list[FittedFigure] | None:
        """How the time of a byte rises with what is touched: three plateaus, from additions of rising size."""
        start = values.get("launch.operation", 0.0)
        sweep = [
            t
            for t in self.timings
            if t.name.startswith(SWEEP) and t.moved_bytes > SMALLEST_SWEEP_BYTES and t.typical_s > start
        ]
        if len(sweep) < 5:
            return None
        touched = np.array([t.moved_bytes for t in sweep], dtype=np.float64)
        per_byte = np.array([(t.typical_s - start) / t.moved_bytes for t in sweep])

        def residuals(logs: Floats) -> Floats:
            least, near, far, near_bytes, far_bytes = np.exp(logs)
            modelled = least + near / (1 + (near_bytes / touched) ** 3) + far / (1 + (far_bytes / touched) ** 3)
            return np.asarray(np.log(modelled / per_byte))

        low, high = float(per_byte.min()), float(per_byte.max())
        guess = np.log([low, (high - low) / 3 + 1e-15, (high - low) / 2 + 1e-15, 1.2e6, 2e7])
        solved = least_squares(residuals, guess)
        _, near, far, near_bytes, far_bytes = np.exp(solved.x)
        error = float(np.median(np.abs(residuals(solved.x))))
        return [
            FittedFigure("cache.near_bytes", float(near_bytes), "bytes", error, len(sweep)),
            FittedFigure("cache.far_bytes", float(far_bytes), "bytes", error, len(sweep)),
            FittedFigure("cache.near_share", float(near / (near + far)), "share", error, len(sweep)),
        ]

    def _fresh(self) -> list[FittedFigure]:
        """What new pages cost: writing to them, less writing as much to memory that is kept."""
        found = {t.name.partition(" ")[0]: t for t in self.timings if t.family == "fresh memory"}
        if set(found) != {"fresh", "reused"}:
            return []
        fresh, reused = (found[name].typical_s / found[name].moved_bytes for name in ("fresh", "reused"))
        return [FittedFigure("fresh.s_per_byte", max(fresh - reused, 0.0), "s/byte", found["fresh"].spread, 2)]

    def _traffic(self, values: Mapping[str, float]) -> list[FittedFigure]:
        """Seconds of a byte from the cache and from memory, operator by operator."""
        found: dict[str, dict[bool, Timing]] = {}
        for timing in self.timings:
            if timing.family in TRAFFIC and timing.operations and not timing.name.startswith((SWEEP, "memory copy")):
                main = max(timing.operations, key=lambda each: each.bytes_moved)
                found.setdefault(traffic_like(main.operator, main.family), {})[timing.name.endswith("again")] = timing
        figures = []
        for operator, both in found.items():
            per_byte = {near: _per_byte(timing, values["launch.operation"]) for near, timing in both.items()}
            near = per_byte.get(True, per_byte.get(False, 0.0))
            costs = {"cache_bytes": near, "memory_bytes": max(near, per_byte.get(False, near))}
            for name, cost in costs.items():
                figures.append(FittedFigure(f"cost.traffic.{operator}.{name}", cost, "s/byte", 0.0, 1))
        return figures

    def _products(self, family: str, values: Mapping[str, float]) -> list[FittedFigure]:
        """Costs of all classes of a family at once: some cases run forward and backward together."""
        cases = [t for t in self.timings if t.family == family and t.precision == "float32" and t.operations]
        rows, seconds = [], []
        for timing in cases:
            table = table_of(timing.operations)
            row = _row(product_amounts(table), table)
            if row:
                rows.append(row)
                seconds.append(max(timing.typical_s - _explained(table, values), 0.05 * timing.typical_s))
        return _solve(rows, np.array(seconds))

    def _precisions(self, values: Mapping[str, float]) -> list[FittedFigure]:
        """How many times as long products take in other precisions."""
        ratios: dict[str, list[float]] = {}
        for timing in self.timings:
            if timing.family in SUSTAINED and timing.precision != "float32" and timing.operations:
                table = table_of(timing.operations)
                expected = float(np.nansum(seconds_by_row(table, values).total * table.count))
                if expected > 0:
                    ratios.setdefault(timing.precision, []).append(timing.typical_s / expected)
        figures = []
        for precision, found in ratios.items():
            middle = statistics.median(found)
            error = statistics.median(abs(each / middle - 1) for each in found)
            figures.append(FittedFigure(f"precision.{precision}", middle, "times float32", error, len(found)))
        return figures


def _per_byte(timing: Timing, start: float) -> float:
    calls = sum(each.count for each in timing.operations)
    left = max(timing.typical_s - calls * start, 0.05 * timing.typical_s)
    return left / max(timing.moved_bytes, 1)


def _row(classes: Iterable[Amounts], table: OperationTable) -> dict[str, float]:
    """Amounts of one timing, by the name of their cost."""
    row: dict[str, float] = {}
    for each in classes:
        if len(each.rows):
            totals = table.count[each.rows].astype(np.float64) @ each.values
            row.update({f"cost.{each.kind}.{name}": float(t) for name, t in zip(each.names, totals, strict=True)})
    return row


def _explained(table: OperationTable, values: Mapping[str, float]) -> float:
    """Seconds of starting the operations of a timing, and of those that only move data."""
    priced = seconds_by_row(table, {**values, "launch.forward": values["launch.operation"]}, launch="operation")
    others = ~np.isnan(priced.work)
    return float((priced.launch * table.count).sum() + (priced.work * table.count)[others].sum())


def _solve(rows: Sequence[Mapping[str, float]], seconds: Floats) -> list[FittedFigure]:
    """Non-negative costs with the least relative residuals; 0 for those that so few cases cannot tell apart."""
    every = list(dict.fromkeys(name for row in rows for name in row))
    if not every:
        return []
    names = told_apart(rows)
    scaled = np.array([[row.get(name, 0.0) for name in names] for row in rows]) / seconds[:, None]
    unit = np.linalg.norm(scaled, axis=0)
    unit[unit == 0] = 1.0
    weights = np.ones(len(seconds))
    for _ in range(ROUNDS):
        costs, _ = nnls(scaled / unit * weights[:, None], weights)
        residuals = scaled @ (costs / unit) - 1
        weights = (1 + (residuals / NOISE) ** 2) ** -0.25
    error = float(np.median(np.abs(residuals)))
    fitted = dict(zip(names, (costs / unit).tolist(), strict=True))
    return [FittedFigure(name, fitted.get(name, 0.0), "s", error, len(rows)) for name in every]


def told_apart(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the costs to fit: of each class fewer than it has cases, the first ones (FLOPs), and one at least.

    >>> told_apart([{"cost.a.flops": 1.0, "cost.a.bytes": 2.0}, {"cost.a.flops": 3.0, "cost.a.bytes": 4.0}])
    ['cost.a.flops']
    """
    cases: Counter[str] = Counter(kind for row in rows for kind in {name.rpartition(".")[0] for name in row})
    taken: Counter[str] = Counter()
    chosen = []
    for name in dict.fromkeys(name for row in rows for name in row):
        kind = name.rpartition(".")[0]
        if taken[kind] < max(1, cases[kind] - 1):
            chosen.append(name)
        taken[kind] += 1
    return chosen
