"""The fastest split that fits, proven: candidates in the order of a floor under their time, until none can be faster.

(Best-first branch and bound: Land and Doig, 1960.) Whatever lies behind the first candidate whose floor is above the
time of the best one found so far cannot win.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.layout import layout_of
from estimator.parallel.memory import layers_of
from estimator.parallel.parallelism import CHECKPOINTING, Checkpointing, Parallelism
from estimator.parallel.passes import passes_of
from estimator.parallel.prepared import pass_of_one
from estimator.parallel.stages import chunks_of
from estimator.parallel.step import ParallelStep, parallel_step, step_s
from estimator.plan.bound import Bound
from estimator.plan.columns import Cell, Source
from estimator.plan.refusals import refusal
from estimator.plan.space import orders, shapes, shardings, split_of

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.stages import Owners
    from estimator.plan.job import Job

RUNNERS_UP: Final = 5

ALIKE: Final = 1.01
"""Plans that are so much slower at most are as good: published step times of one machine differ by 1.5 % in the
median."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One split of a job, and its micro-batch."""

    split: Parallelism
    micro_batch_size: int

    @property
    def degrees(self) -> tuple[int, ...]:
        """What plans are told apart by."""
        split = self.split
        return (split.model_devices, split.tensor_parallel, split.context_parallel, split.expert_parallel,
                split.zero_stage)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to run a job: candidate, and its step as it is predicted."""

    split: Parallelism
    step: ParallelStep

    @property
    def seconds(self) -> float:
        """Middle seconds of a step."""
        return self.step.total.mid

    @property
    def degrees(self) -> tuple[int, ...]:
        """What plans are told apart by."""
        return Candidate(self.split, self.step.micro_batch_size).degrees


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes
    ----------
    plans
        the fastest first, no two with the same degrees; of those within 1 % the simplest first. Empty: nothing fits
    searched, fitting, evaluated
        candidates, those of them that fit, and those whose step was computed event by event
    least_bytes
        what the smallest candidate holds
    nearest_batches
        batches next to the one asked for that divide over all devices, for when no candidate was there
    refused
        why there was no candidate; "" where there were some
    """

    plans: tuple[Plan, ...]
    searched: int
    fitting: int
    evaluated: int
    least_bytes: float
    nearest_batches: tuple[int, ...] = ()
    refused: str = ""

    @property
    def best(self) -> Plan | None:
        """The plan to take; None where nothing fits."""
        return self.plans[0] if self.plans else None


@dataclass(frozen=True, eq=False)
class Block:
    """Cells with one ZeRO stage and one checkpointing: floors and bytes, (n,) each."""

    cells: list[Cell]
    shardings: list[tuple[int, int]]
    checkpointing: Checkpointing
    floor_s: Floats
    held_bytes: Floats

    def candidate(self, row: int) -> Candidate:
        """Return one candidate."""
        shape, order = self.cells[row]
        return Candidate(split_of(shape, order, self.shardings[row], self.checkpointing), shape.micro_batch_size)


def search(job: Job, runners_up: int = RUNNERS_UP) -> Found:
    """Return the fastest plan of a job and the fastest with other degrees."""
    blocks = list(blocks_of_candidates(job))
    floors = np.concatenate([np.zeros(0), *(block.floor_s for block in blocks)])
    held = np.concatenate([np.zeros(0), *(block.held_bytes for block in blocks)])
    fits = held <= job.capacity_bytes
    best: dict[object, tuple[float, Candidate]] = {}
    evaluated = 0
    for place in np.flatnonzero(fits)[np.argsort(floors[fits], kind="stable")].tolist():
        if len(best) > runners_up and floors[place] > sorted(seconds for seconds, _ in best.values())[runners_up]:
            break
        candidate = _candidate(blocks, place)
        seconds = seconds_of(job, candidate)
        evaluated += 1
        known = best.get(candidate.degrees)
        if known is None or seconds < known[0]:
            best[candidate.degrees] = seconds, candidate
    least = float(held.min()) if len(held) else float("inf")
    fastest = sorted(best.values(), key=lambda each: each[0])[: runners_up + 1]
    plans = _ordered([evaluate(job, candidate) for _, candidate in fastest])
    refused = "" if len(held) else refusal(job)
    return Found(plans, len(held), int(fits.sum()), evaluated, least, _nearest(job), refused)


def _nearest(job: Job) -> tuple[int, ...]:
    """Multiples of the devices next to the batch; none where it is one of them."""
    below = job.global_batch_size // job.count * job.count
    return () if below == job.global_batch_size else tuple(each for each in (below, below + job.count) if each)


def _candidate(blocks: list[Block], place: int) -> Candidate:
    for block in blocks:
        if place < len(block.cells):
            return block.candidate(place)
        place -= len(block.cells)
    raise IndexError(place)


def _ordered(fastest: Sequence[Plan]) -> tuple[Plan, ...]:
    """Put those that are as good as the first, the simplest of them first, before the others."""
    limit = fastest[0].seconds * ALIKE if fastest else 0.0
    return tuple(sorted(fastest, key=lambda plan: (0.0, *plan.degrees) if plan.seconds <= limit else (plan.seconds,)))


def seconds_of(job: Job, candidate: Candidate) -> float:
    """Return the seconds of a candidate's step, event by event."""
    size, split = candidate.micro_batch_size, candidate.split
    return step_s(job.at(size), split, job.setting, split.micro_batches(job.global_batch_size, size))


def evaluate(job: Job, candidate: Candidate) -> Plan:
    """Return a candidate with its step, event by event."""
    size, split = candidate.micro_batch_size, candidate.split
    micro_batches = split.micro_batches(job.global_batch_size, size)
    return Plan(split, parallel_step(job.at(size), split, job.setting, micro_batches).fed(job.data_s))


def blocks_of_candidates(job: Job) -> Iterator[Block]:
    """Yield all candidates with their floors."""
    source = Source.of(job)
    for owners, cells, checked in _groups(job):
        bound = None
        for stage, chosen in _by_stage(job, cells).items():
            listed = [cell for cell, _ in chosen]
            if bound is None or stage == 3 or listed != bound.columns.cells:
                bound = Bound(job, source.columns(listed, stage == 3), owners, source.alike)
            groups = [group for _, group in chosen]
            sharding = source.sharding(bound.columns.cells, groups)
            for each in checked:
                yield Block(listed, groups, each, bound.seconds(sharding, each), bound.held_bytes(sharding, each))


def _by_stage(job: Job, cells: list[Cell]) -> dict[int, list[tuple[Cell, tuple[int, int]]]]:
    found: dict[int, list[tuple[Cell, tuple[int, int]]]] = defaultdict(list)
    for cell in cells:
        for sharding in shardings(job, cell[0]):
            found[sharding[0]].append((cell, sharding))
    return found


def _groups(job: Job) -> Iterator[tuple[Owners, list[Cell], tuple[Checkpointing, ...]]]:
    """Cells that deal their layers to stages alike; for each checkpointing alone where its time decides that."""
    checked = tuple(each for each in CHECKPOINTING if job.asked.allows("activation_checkpointing", each))
    alike: dict[tuple[int, object], list[Cell]] = defaultdict(list)
    blocks = layout_of(job.profile).blocks
    for shape in shapes(job):
        for order in orders(job, shape):
            alike[shape.pipeline, order].append((shape, order))
    for (stages, _), cells in alike.items():
        split = split_of(*cells[0], (0, 0), "none")
        if stages == 1 or blocks.uniform:
            yield chunks_of(job.profile, np.ones(blocks.count + 2), split), cells, checked
            continue
        for cell in cells:
            for each in checked:
                yield _balanced(job, cell, each), [cell], (each,)


def _balanced(job: Job, cell: Cell, checkpointing: Checkpointing) -> Owners:
    split = split_of(*cell, (0, 0), checkpointing)
    costs, _ = pass_of_one(job.at(cell[0].micro_batch_size), split, job.setting)
    layout = layout_of(job.profile)
    passes = passes_of(costs, split, layers_of(layout))
    return chunks_of(job.profile, (passes.forward + passes.backward)[1], split)
