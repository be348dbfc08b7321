"""What the floors under many candidates need, as numpy columns: one row a cell, which is a shape with its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from estimator.parallel.collectives import all_gather, all_reduce
from estimator.parallel.memory import BytesPerParameter
from estimator.parallel.step import pass_of_one
from estimator.parallel.sync import Load, adding_s, optimizer_s
from estimator.parallel.weights import weights_of
from estimator.plan.space import Order, Shape, split_of

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.collectives import Line
    from estimator.plan.job import Job

MID = 1
BILLION = 1e9
PLAIN = Order("1f1b", 1)

Cell = tuple[Shape, Order]
Row = tuple["Floats", ...]


@dataclass(frozen=True, eq=False)
class Columns:
    """Cells with the same stages and schedule, with parameters gathered (ZeRO 3) or not; (n, parts) or (n,) arrays.

    `again` is what selective checkpointing computes again, `per_parameter_s` the optimizer's time for one parameter,
    `adding_s` to add its gradients of two micro-batches, `per` the bytes of a parameter.
    """

    cells: Sequence[Cell]
    per: BytesPerParameter
    adding_s: float
    dense: Floats
    experts: Floats
    micro_batches: Floats
    forward: Floats
    backward: Floats
    weights: Floats
    again: Floats
    host_forward: Floats
    host_backward: Floats
    whole: Floats
    inputs: Floats
    working: Floats
    per_parameter_s: Floats
    host_optimizer: Floats


@dataclass(frozen=True, eq=False)
class Sharding:
    """One ZeRO stage and group for each cell; `reduce` and `gather` are latency and seconds per byte, (2, n)."""

    stage: int
    shards: Floats
    expert_shards: Floats
    reduce: Floats
    gather: Floats


@dataclass(frozen=True, eq=False)
class Source:
    """Works out columns; remembers what several cells share."""

    job: Job
    rows: dict[object, Row] = field(default_factory=dict)
    lines: dict[object, tuple[float, float]] = field(default_factory=dict)

    def columns(self, cells: Sequence[Cell], gathered: bool) -> Columns:
        """Return the columns of cells with the same pipeline."""
        shapes = [shape for shape, _ in cells]
        rows = [self._row(each, gathered) for each in shapes]
        weights = weights_of(self.job.profile)
        tensor = np.array([[float(shape.tensor)] for shape in shapes])
        spread = np.array([[float(shape.expert * shape.expert_tensor)] for shape in shapes])
        dense = weights.split / tensor + weights.whole
        if shapes[0].pipeline > 1:
            dense[:, -1] += weights.tied / tensor[:, 0]
        batches = [self.job.global_batch_size // (shape.replicas * shape.micro_batch_size) for shape in shapes]
        zero = (3 if gathered else 0, 0)
        split = split_of(shapes[0], PLAIN, zero, "none")
        per = BytesPerParameter.of(self.job.profile, split, self.job.stack)
        whole = Load(BILLION * (split.shards if gathered else 1), 0.0, self.job.profile.trainable_parameters)
        adding = float(adding_s(whole, per, split, self.job.setting)[MID]) / BILLION
        micro_batches = np.array(batches, dtype=np.float64)
        return Columns(cells, per, adding, dense, weights.experts / spread, micro_batches, *_stacked(rows))

    def _row(self, shape: Shape, gathered: bool) -> Row:
        inside = (shape.tensor, shape.context, shape.expert, shape.expert_tensor, shape.micro_batch_size, gathered)
        if inside not in self.rows:
            self.rows[inside] = self._new_row(shape, gathered)
        return self.rows[inside]

    def _new_row(self, shape: Shape, gathered: bool) -> Row:
        split = split_of(shape, PLAIN, (3 if gathered else 0, 0), "none")
        profile = self.job.at(shape.micro_batch_size)
        costs, kept = pass_of_one(profile, split.inside, self.job.setting)
        unit = Load(BILLION * (split.shards if gathered else 1), 0.0, profile.trainable_parameters)
        per = BytesPerParameter.of(profile, split, self.job.stack)
        one = float(optimizer_s(unit, per, costs, split, self.job.setting)[MID]) / BILLION
        return (
            (costs.forward + costs.exposed_forward)[MID], (costs.backward + costs.exposed_backward)[MID],
            costs.weights[MID], costs.attention[MID], costs.host_forward[MID], costs.host_backward[MID],
            kept.whole, kept.inputs, np.asarray(kept.working), np.asarray(one),
            costs.host_optimizer[MID],
        )  # fmt: skip

    def sharding(self, cells: Sequence[Cell], chosen: Sequence[tuple[int, int]]) -> Sharding:
        """Return the columns of one ZeRO stage, with the group of each cell."""
        shapes = [shape for shape, _ in cells]
        stage = chosen[0][0]
        shards = [(group or shape.sharers) if stage else 1 for shape, (_, group) in zip(shapes, chosen, strict=True)]
        replicas = [shape.sharers * shape.tensor // (shape.expert * shape.expert_tensor) for shape in shapes]
        sums = [self._terms("reduce", shape.sharers, shape.tensor) for shape in shapes]
        gathers = [self._terms("gather", each, shape.tensor) for each, shape in zip(shards, shapes, strict=True)]
        return Sharding(
            stage,
            np.array(shards, dtype=np.float64),
            np.minimum(replicas, shards).astype(np.float64),
            np.array(sums).T,
            np.array(gathers).T,
        )

    def _terms(self, kind: str, size: int, stride: int) -> tuple[float, float]:
        """Latency and seconds per byte that no algorithm is below."""
        if (kind, size, stride) not in self.lines:
            group = self.job.network.group(size, stride)
            self.lines[kind, size, stride] = _least(*(all_reduce(group) if kind == "reduce" else (all_gather(group),)))
        return self.lines[kind, size, stride]


def _stacked(rows: Sequence[Row]) -> list[Any]:
    """Columns of rows of arrays."""
    return [np.array(column) for column in zip(*rows, strict=True)]


def _least(*lines: Line) -> tuple[float, float]:
    return min(float(each.latency_s[MID]) for each in lines), min(float(each.s_per_byte[MID]) for each in lines)
