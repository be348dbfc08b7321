"""Time of a pipeline by events: every pass of every micro-batch on every stage, in the order of a schedule.

GPipe runs all forward passes, then all backward passes (Huang et al., 2019). 1F1B alternates them as soon as each stage
holds as many micro-batches as there are stages after it (Narayanan et al., 2019, PipeDream-Flush). Interleaved gives
each stage several chunks of layers (Narayanan et al., 2021). Zero bubble splits the backward pass into the gradient of
the input, which the stage before waits for, and that of the weights, which fills gaps (Qi et al., 2023, ZB-H1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from estimator.parallel.parallelism import Schedule
from hardware_db.errors import UsageError

Floats = NDArray[np.float64]
Pass = Literal["forward", "backward", "weights"]
FORWARD, BACKWARD, WEIGHTS = range(3)
Task = tuple[int, int, int]
"""Kind of pass, chunk, micro-batch."""

ROUNDS: Final = 8
"""Rounds of as many micro-batches as stages that are simulated before a pipeline is asked whether it repeats itself."""

SAME: Final = 1e-9
"""Relative difference up to which two times are equal."""


@dataclass(frozen=True, eq=False)
class StageTimes:
    """Seconds of one micro-batch on each chunk of each stage: arrays (stages, chunks, ...), the rest computed alike.

    `weights` is the part of the backward pass that only the optimizer waits for; zero where it is not split.
    `message` is how long a tensor takes to the next stage: (...,).
    """

    forward: Floats
    backward: Floats
    weights: Floats
    message: Floats

    @property
    def middle(self) -> StageTimes:
        """The same with the middle of three values alone."""
        return StageTimes(*(each[..., 1:2] for each in (self.forward, self.backward, self.weights, self.message)))


def pipeline_s(times: StageTimes, micro_batches: int, schedule: Schedule) -> Floats:
    """Return when each stage has finished its last pass: (stages, ...) seconds after the first began.

    A pass waits for others of at most two rounds before it (a round: as many micro-batches as stages). So once all
    passes of two rounds come the same time after those of the round before, all later ones do too, until the pipeline
    drains: rounds are then left out and their time is added, which is exact. A pipeline that has not settled is
    simulated on, in the end as a whole.

    Raises
    ------
    UsageError
        chunks are interleaved, and the last round would be incomplete: devices would wait for each other forever
        (Megatron-LM and torch.distributed.pipelining refuse it as well)
    """
    stages, chunks = times.forward.shape[:2]
    rounds, rest = divmod(micro_batches, stages)
    if chunks > 1 and rest:
        raise UsageError(
            f"interleaved stages need micro-batches in multiples of pipeline_parallel {stages}; given: {micro_batches}"
        )
    simulated = ROUNDS
    while rounds > simulated and schedule != "gpipe":
        clock, ends, graph = _simulated(times, simulated * stages + rest, schedule)
        period = _period_s(ends, graph, simulated)
        if period is not None:
            continued: Floats = clock + (rounds - simulated) * period
            return continued
        simulated *= 2
    return _simulated(times, micro_batches, schedule)[0]


def _period_s(ends: Floats, graph: Graph, rounds: int) -> Floats | None:
    """Seconds from one round to the next where all passes of two rounds, well before the end, keep the same distance.

    The last three rounds are left out: what drains there is at most two rounds and the incomplete one.
    """
    now, before = graph.repeats(rounds - 5, rounds - 3)
    shifts = ends[now] - ends[before]
    settled = np.allclose(shifts, shifts[0], rtol=SAME, atol=SAME * float(shifts.max()))
    return np.asarray(shifts[0]) if settled else None


@dataclass(frozen=True, eq=False)
class Graph:
    """Passes of a pipeline in an order in which each comes after those that it waits for.

    Attributes
    ----------
    tasks
        (passes, 4) stage, kind, chunk, micro-batch
    before, needed
        (passes,) place of the pass before it on the same stage, and of the one whose result it starts from; the number
        of passes where there is none
    travels
        (passes,) whether that result comes from another stage
    """

    tasks: NDArray[np.int32]
    before: NDArray[np.int32]
    needed: NDArray[np.int32]
    travels: NDArray[np.bool_]

    @cached_property
    def last(self) -> NDArray[np.intp]:
        """Place of the last pass of each stage."""
        places = np.arange(len(self.tasks))
        return np.array([places[self.tasks[:, 0] == stage].max() for stage in range(int(self.tasks[:, 0].max()) + 1)])

    def repeats(self, first: int, last: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the places of all passes of some rounds, and those of the same passes a round earlier."""
        stages, batch = len(self.last), self.tasks[:, 3]
        now = np.flatnonzero((batch >= first * stages) & (batch < last * stages))
        earlier = np.flatnonzero((batch >= (first - 1) * stages) & (batch < (last - 1) * stages))

        def by_pass(rows: NDArray[np.intp]) -> NDArray[np.intp]:
            columns = self.tasks[rows]
            return rows[np.lexsort((columns[:, 3], columns[:, 2], columns[:, 1], columns[:, 0]))]

        return by_pass(now), by_pass(earlier)


@lru_cache(maxsize=64)
def graph_of(schedule: Schedule, sizes: tuple[int, int, int]) -> Graph:
    """Put the passes of all stages in order; `sizes` are stages, chunks and micro-batches.

    Raises
    ------
    RuntimeError
        the order of a schedule is impossible: every stage waits for another
    """
    stages, chunks, _ = sizes
    orders = [order_of(schedule, sizes, stage) for stage in range(stages)]
    none = sum(len(order) for order in orders)
    place: dict[tuple[int, Task], int] = {}
    rows: list[tuple[int, int, int, int]] = []
    before, needed, travels = [], [], []
    at, latest = [0] * stages, [none] * stages
    waiting = list(range(stages))
    while waiting:
        begun = len(rows)
        for stage in waiting:
            order = orders[stage]
            while at[stage] < len(order):
                task = order[at[stage]]
                source = _needs(task, stage, stages, chunks)
                if source is not None and source not in place:
                    break
                place[stage, task] = len(rows)
                before.append(latest[stage])
                needed.append(none if source is None else place[source])
                travels.append(source is not None and source[0] != stage)
                latest[stage] = len(rows)
                rows.append((stage, *task))
                at[stage] += 1
        waiting = [stage for stage in waiting if at[stage] < len(orders[stage])]
        if len(rows) == begun:
            raise RuntimeError(f"stages of {schedule} wait for each other forever")
    return Graph(
        np.array(rows, dtype=np.int32), np.array(before, dtype=np.int32), np.array(needed, dtype=np.int32),
        np.array(travels, dtype=np.bool_),
    )  # fmt: skip


def _simulated(times: StageTimes, micro_batches: int, schedule: Schedule) -> tuple[Floats, Floats, Graph]:
    """Run every pass; when each stage has finished, (stages, ...), when each pass has, (passes, ...), and which."""
    stages, chunks = times.forward.shape[:2]
    graph = graph_of(schedule, (stages, chunks, micro_batches))
    stage, kind, chunk, _ = graph.tasks.T
    seconds = np.stack((times.forward, times.backward, times.weights))[kind, stage, chunk]
    messages = np.where(graph.travels[:, None], times.message.reshape(1, -1), 0.0)
    order = graph.before.tolist(), graph.needed.tolist()
    columns = zip(seconds.reshape(len(seconds), -1).T.tolist(), messages.T.tolist(), strict=True)
    ends = np.array([_run(order, *column) for column in columns]).T.reshape(seconds.shape)
    return ends[graph.last], ends, graph


def _run(order: tuple[list[int], list[int]], seconds: list[float], messages: list[float]) -> list[float]:
    """Return when each pass ends: it starts when its stage is free and what it needs has arrived."""
    ends = [0.0] * (len(seconds) + 1)
    for at, (before, needed, length, message) in enumerate(zip(*order, seconds, messages, strict=True)):
        free, arrived = ends[before], ends[needed] + message
        ends[at] = (free if free > arrived else arrived) + length
    ends.pop()
    return ends


def _needs(task: Task, stage: int, stages: int, chunks: int) -> tuple[int, Task] | None:
    """Return the stage and pass whose result a pass starts from; None where it starts from data or its own loss."""
    kind, chunk, batch = task
    if kind == FORWARD:
        if stage:
            return stage - 1, task
        return (stages - 1, (FORWARD, chunk - 1, batch)) if chunk else None
    if kind == WEIGHTS:
        return stage, (BACKWARD, chunk, batch)
    if stage < stages - 1:
        return stage + 1, task
    return (0, (BACKWARD, chunk + 1, batch)) if chunk < chunks - 1 else (stage, (FORWARD, chunk, batch))


@lru_cache(maxsize=4096)
def order_of(schedule: Schedule, sizes: tuple[int, int, int], stage: int) -> tuple[Task, ...]:
    """Return the passes of a stage in order; `sizes` are stages, chunks and micro-batches."""
    stages, chunks, micro_batches = sizes
    forward = list(_passes(FORWARD, stages, chunks, micro_batches))
    backward = list(_passes(BACKWARD, stages, chunks, micro_batches))
    if schedule == "gpipe":
        return (*forward, *backward)
    ahead = min(len(forward), in_flight(sizes, stage) - 1)
    order: list[Task] = forward[:ahead]
    for at, task in enumerate(backward):
        order.extend(forward[ahead + at : ahead + at + 1])
        order.append(task)
        if schedule == "zero_bubble" and at >= stage:
            order.append((WEIGHTS, *backward[at - stage][1:]))
    if schedule == "zero_bubble":
        order.extend((WEIGHTS, *task[1:]) for task in backward[max(0, len(backward) - stage) :])
    return tuple(order)


def in_flight(sizes: tuple[int, int, int], stage: int) -> int:
    """Return how many passes of chunks a stage holds at most between forward and backward, all but GPipe alike."""
    stages, chunks, micro_batches = sizes
    if chunks == 1:
        return min(micro_batches, stages - stage)
    return min(micro_batches * chunks, 2 * (stages - stage - 1) + (chunks - 1) * stages + 1)


def _passes(kind: int, stages: int, chunks: int, micro_batches: int) -> Iterator[Task]:
    """Passes of one kind: as many micro-batches as there are stages through one chunk after the other."""
    for first in range(0, micro_batches, stages):
        for chunk in range(chunks) if kind == FORWARD else reversed(range(chunks)):
            for batch in range(first, min(first + stages, micro_batches)):
                yield kind, chunk, batch


def even_pipeline_s(stage_s: tuple[float, float, float], micro_batches: int, shape: tuple[int, int, Schedule]) -> float:
    """Return the seconds of a pipeline of equal stages without messages, in closed form.

    `stage_s` are the forward pass, the gradient of the input and that of the weights of a whole stage; `shape` is
    stages, chunks and schedule. GPipe and 1F1B: (m + p - 1)(f + b); interleaved: m (f + b) + (p - 1)(f + b) / v;
    zero bubble: m (f + b) + (p - 1)(f + b - 2 w) with b = input + weights, and never less than one micro-batch's path.
    """
    forward, grad_input, grad_weights = stage_s
    stages, chunks, schedule = shape
    whole = forward + grad_input + grad_weights
    gap = whole - 2 * grad_weights if schedule == "zero_bubble" else whole / chunks
    return micro_batches * whole + (stages - 1) * gap
