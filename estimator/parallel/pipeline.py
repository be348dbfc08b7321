"""Time of a pipeline by events: every pass of every micro-batch on every stage, in the order of a schedule.

GPipe runs all forward passes, then all backward passes (Huang et al., 2019). 1F1B alternates them as soon as each stage
holds as many micro-batches as there are stages after it (Narayanan et al., 2019, PipeDream-Flush). Interleaved gives
each stage several chunks of layers (Narayanan et al., 2021). Zero bubble splits the backward pass into the gradient of
the input, which the stage before waits for, and that of the weights, which fills gaps (Qi et al., 2023, ZB-H1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from estimator.parallel.parallelism import Schedule

Floats = NDArray[np.float64]
Pass = Literal["forward", "backward", "weights"]
FORWARD, BACKWARD, WEIGHTS = range(3)
Task = tuple[int, int, int]
"""Kind of pass, chunk, micro-batch."""

PERIODS: Final = 4
"""Rounds of as many micro-batches as stages after which most pipelines repeat themselves; if two rounds take equally
long they are continued, else more rounds are simulated."""


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


def pipeline_s(times: StageTimes, micro_batches: int, schedule: Schedule) -> Floats:
    """Return when each stage has finished its last pass: (stages, ...) seconds after the first began."""
    stages = len(times.forward)
    rounds, rest = divmod(micro_batches, stages)
    for simulated in (PERIODS, 4 * PERIODS):
        if rounds <= simulated:
            break
        ends = [_finish_s(times, (simulated - back) * stages + rest, schedule) for back in range(3)]
        if np.allclose(ends[0] - ends[1], ends[1] - ends[2], rtol=1e-6):
            continued: Floats = ends[0] + (rounds - simulated) * (ends[0] - ends[1])
            return continued
    return _finish_s(times, micro_batches, schedule)


def _finish_s(times: StageTimes, micro_batches: int, schedule: Schedule) -> Floats:
    stages, chunks = times.forward.shape[:2]
    seconds = (times.forward, times.backward, times.weights)
    orders = [order_of(schedule, (stages, chunks, micro_batches), stage) for stage in range(stages)]
    ends: dict[tuple[int, Task], Floats] = {}
    clock = [np.zeros_like(times.message) for _ in range(stages)]
    places = [0] * stages
    waiting = set(range(stages))
    while waiting:
        for stage in sorted(waiting):
            order = orders[stage]
            while places[stage] < len(order):
                task = order[places[stage]]
                needed = _needs(task, stage, stages, chunks)
                if needed is not None and needed not in ends:
                    break
                arrival = _arrival(ends, needed, stage, times.message)
                start = clock[stage] if arrival is None else np.maximum(clock[stage], arrival)
                clock[stage] = ends[stage, task] = start + seconds[task[0]][stage, task[1]]
                places[stage] += 1
            else:
                waiting.discard(stage)
    return np.stack(clock)


def _arrival(
    ends: dict[tuple[int, Task], Floats], needed: tuple[int, Task] | None, stage: int, message: Floats
) -> Floats | None:
    if needed is None:
        return None
    return ends[needed] + message if needed[0] != stage else ends[needed]


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
