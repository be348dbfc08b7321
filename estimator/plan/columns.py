"""What the floors under many candidates need, as numpy columns: one row a cell, which is a shape with its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimator.parallel.collectives import all_gather, all_reduce
from estimator.parallel.layout import layout_of
from estimator.parallel.memory import BytesPerParameter, layers_of
from estimator.parallel.prepared import pass_of_one, time_together
from estimator.parallel.sync import Load, adding_s, optimizer_s
from estimator.parallel.weights import weights_of
from estimator.plan.space import Order, Shape, split_of

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.collectives import Line
    from estimator.parallel.costs import Setting
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.stages import Owners
    from estimator.plan.job import Job
    from profiles.model_profile import ModelProfile

MID = 1
BILLION = 1e9
PLAIN = Order("1f1b", 1)

Cell = tuple[Shape, Order]
Row = tuple["Floats", ...]


@dataclass(frozen=True, eq=False)
class Alike:
    """Parts of a model that are equal: what comes before the layers, every kind of layer, and what comes after.

    Attributes
    ----------
    first
        (kinds,) the first part of each kind
    kind
        (parts,) kind of each part
    layers
        (kinds,) 1 for layers whose products are known
    """

    first: NDArray[np.intp]
    kind: NDArray[np.intp]
    layers: Floats

    @classmethod
    def of(cls, profile: ModelProfile) -> Alike:
        """Tell parts apart by their operations and parameters."""
        layout, weights = layout_of(profile), weights_of(profile)
        order = np.arange(layout.blocks.count + 2)
        edge = np.where(order == 0, -1, np.where(order == order[-1], 1, 0))
        told = np.stack([edge, layout.blocks.kinds, weights.split, weights.whole, weights.experts], axis=1)
        _, first, kind = np.unique(told, axis=0, return_index=True, return_inverse=True)
        return cls(first, kind.reshape(-1), layers_of(layout)[first])

    def counts(self, owners: Owners, chunks: int) -> Floats:
        """Return how many parts of each kind each chunk has, (kinds, chunks)."""
        found = np.zeros((len(self.first), chunks))
        np.add.at(found, (self.kind, owners), 1.0)
        return found

    @property
    def twice(self) -> NDArray[np.intp]:
        """Kinds of layers, each as often as it can be among the two largest."""
        repeats = np.minimum(2, np.bincount(self.kind))
        return np.repeat(np.arange(len(self.first)), repeats * (np.arange(len(self.first)) % (len(self.first) - 1) > 0))


@dataclass(frozen=True, eq=False)
class Columns:
    """Cells with the same stages and schedule, with parameters gathered (ZeRO 3) or not; (n, kinds) or (n,) arrays.

    `again` is what selective checkpointing computes again, `spared` what full does not, `per_parameter_s` the
    optimizer's time for one parameter, `adding_s` to add its gradients of two micro-batches, `per` the bytes of a
    parameter.
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
    spared: Floats
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
    """Works out columns; remembers what several cells share, and searches of the same model on more devices."""

    job: Job
    rows: dict[object, Row] = field(default_factory=dict)
    lines: dict[object, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job) -> Source:
        """Return the source of a job, with what earlier jobs with the same model, machine and software left in it."""
        return cls(job, *_remembered(job.profile, job.setting))

    def columns(self, cells: Sequence[Cell], gathered: bool) -> Columns:
        """Return the columns of cells with the same pipeline."""
        shapes = [shape for shape, _ in cells]
        stacked = self._stacked(shapes, gathered)
        weights, first = weights_of(self.job.profile), self.alike.first
        tensor = np.array([[float(shape.tensor)] for shape in shapes])
        spread = np.array([[float(shape.expert * shape.expert_tensor)] for shape in shapes])
        dense = weights.split[first] / tensor + weights.whole[first]
        if shapes[0].pipeline > 1:
            dense[:, -1] += weights.tied / tensor[:, 0]
        batches = [self.job.global_batch_size // (shape.replicas * shape.micro_batch_size) for shape in shapes]
        zero = (3 if gathered else 0, 0)
        split = split_of(shapes[0], PLAIN, zero, "none")
        per = BytesPerParameter.of(self.job.profile, split, self.job.stack)
        whole = Load(BILLION * (split.shards if gathered else 1), 0.0, self.job.profile.trainable_parameters)
        adding = float(adding_s(whole, per, split, self.job.setting)[MID]) / BILLION
        micro_batches = np.array(batches, dtype=np.float64)
        return Columns(cells, per, adding, dense, weights.experts[first] / spread, micro_batches, *stacked)

    @cached_property
    def alike(self) -> Alike:
        """Kinds of parts."""
        return Alike.of(self.job.profile)

    def _stacked(self, shapes: Sequence[Shape], gathered: bool) -> list[Floats]:
        """Columns of what is computed for each shape; many shapes compute the same."""
        keys = [(shape.inside, gathered) for shape in shapes]
        of_key = dict(zip(reversed(keys), reversed(shapes), strict=True))
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        new = {key: self._question(of_key[key], gathered) for key in places if key not in self.rows}
        time_together(new.values(), self.job.setting)
        self.rows.update({key: self._new_row(*question, gathered) for key, question in new.items()})
        index = np.array([places[key] for key in keys])
        return [np.array(column)[index] for column in zip(*(self.rows[key] for key in places), strict=True)]

    def _question(self, shape: Shape, gathered: bool) -> tuple[ModelProfile, Parallelism]:
        return self.job.at(shape.micro_batch_size), split_of(shape, PLAIN, (3 if gathered else 0, 0), "none")

    def _new_row(self, profile: ModelProfile, split: Parallelism, gathered: bool) -> Row:
        costs, kept = pass_of_one(profile, split, self.job.setting)
        unit = Load(BILLION * (split.shards if gathered else 1), 0.0, profile.trainable_parameters)
        per = BytesPerParameter.of(profile, split, self.job.stack)
        one = float(optimizer_s(unit, per, costs, split, self.job.setting)[MID]) / BILLION
        parts = (
            (costs.forward + costs.exposed_forward)[MID], (costs.backward + costs.exposed_backward)[MID],
            costs.weights[MID], costs.attention[MID], costs.spared[MID],
            costs.host_forward[MID], costs.host_backward[MID], kept.whole, kept.inputs,
        )  # fmt: skip
        alone = np.asarray(kept.working), np.asarray(one), costs.host_optimizer[MID]
        return (*(each[self.alike.first] for each in parts), *alone)

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


@lru_cache(maxsize=16)
def _remembered(
    _profile: ModelProfile, _setting: Setting
) -> tuple[dict[object, Row], dict[object, tuple[float, float]]]:
    """Rows and lines of a model on a machine: neither depends on the number of devices."""
    return {}, {}


def _least(*lines: Line) -> tuple[float, float]:
    return min(float(each.latency_s[MID]) for each in lines), min(float(each.s_per_byte[MID]) for each in lines)
