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
from hardware_db.errors import UsageError

Floats = NDArray[np.float64]
Pass = Literal["forward", "backward", "weights"]
FORWARD, BACKWARD, WEIGHTS = range(3)
Task = tuple[int, int, int]
"""Kind of pass, chunk, micro-batch."""

Ends = dict[tuple[int, Task], Floats]
"""Stage and pass -> seconds at which it ends."""

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
        clock, ends = _simulated(times, simulated * stages + rest, schedule)
        period = _period_s(ends, stages, simulated)
        if period is not None:
            continued: Floats = clock + (rounds - simulated) * period
            return continued
        simulated *= 2
    return _simulated(times, micro_batches, schedule)[0]


def _period_s(ends: Ends, stages: int, rounds: int) -> Floats | None:
    """Seconds from one round to the next where all passes of two rounds, well before the end, keep the same distance.

    The last three rounds are left out: what drains there is at most two rounds and the incomplete one.
    """
    first, last = (rounds - 5) * stages, (rounds - 3) * stages
    window = [key for key in ends if first <= key[1][2] < last]
    now = np.stack([ends[key] for key in window])
    before = np.stack([ends[stage, (kind, chunk, batch - stages)] for stage, (kind, chunk, batch) in window])
    shifts = now - before
    settled = np.allclose(shifts, shifts[0], rtol=SAME, atol=SAME * float(shifts.max()))
    return np.asarray(shifts[0]) if settled else None


def _simulated(times: StageTimes, micro_batches: int, schedule: Schedule) -> tuple[Floats, Ends]:
    """Run every pass; when each stage has finished, and when each pass has."""
    stages, chunks = times.forward.shape[:2]
    seconds = (times.forward, times.backward, times.weights)
    orders = [order_of(schedule, (stages, chunks, micro_batches), stage) for stage in range(stages)]
    ends: Ends = {}
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
    return np.stack(clock), ends


def _arrival(ends: Ends, needed: tuple[int, Task] | None, stage: int, message: Floats) -> Floats | None:
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
