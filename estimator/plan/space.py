"""All splits that are searched.

Every degree takes every value that divides what it must: devices, heads and features, layers, experts, half of the
sequence. What is left out, because it never wins or no framework runs it: tensor parallelism across slow links; more
than `MOST_CONTEXT` parts of a sequence; micro-batches other than the largest that divides up to each power of two; ZeRO
2 and 3 together with a pipeline (gradients or parameters would travel for every micro-batch); schedules that the
software does not have, unless they are asked for (GPipe is never faster than 1F1B and holds more; nothing that is
released runs ZB-H1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from estimator.parallel.layout import layout_of
from estimator.parallel.parallelism import SCHEDULES, Checkpointing, Parallelism, Schedule
from estimator.parallel.sharding import check_heads, check_split, experts_of
from estimator.parallel.stages import largest_load, layers_dealt
from estimator.run import batch_multiple
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.asked import AskedSplit
    from estimator.parallel.stages import Edges
    from estimator.plan.job import Job

MOST_CONTEXT: Final = 16
MOST_STAGES: Final = 64
LARGEST_MICRO_BATCH: Final = 64
"""Samples of a micro-batch of long sequences; of shorter ones and of images more are tried."""

MOST_POSITIONS: Final = 65_536
"""Tokens of a micro-batch that is tried although it has more than `LARGEST_MICRO_BATCH` samples: products of so many
rows fill every device."""

MOST_SAMPLES: Final = 1024
ALONE: Final[tuple[Schedule, ...]] = ("1f1b", "gpipe", "zero_bubble")
"""Schedules of stages with one chunk each."""

WORTHWHILE: Final = 0.99
"""Uneven stages are tried where layers divide evenly if the fullest stage has less than this share to do."""


@dataclass(frozen=True)
class Shape:
    """What decides the layout of a job: degrees and micro-batch; schedule, ZeRO and checkpointing come on top."""

    tensor: int
    context: int
    pipeline: int
    expert: int
    micro_batch_size: int
    replicas: int

    @cached_property
    def sharers(self) -> int:
        """Devices that hold the same layers outside experts."""
        return self.replicas * self.context

    @cached_property
    def expert_tensor(self) -> int:
        """Devices that share each expert, see `Parallelism.expert_tensor_parallel`."""
        return self.tensor if self.sharers % self.expert == 0 else 1

    @cached_property
    def inside(self) -> tuple[int, ...]:
        """What decides how long one device takes for one layer."""
        return self.tensor, self.context, self.expert, self.expert_tensor, self.micro_batch_size


@dataclass(frozen=True, slots=True)
class Order:
    """Schedule of a pipeline, the chunks of each stage, and whether they are dealt out evenly."""

    schedule: Schedule
    chunks: int
    even: bool = True


def shapes(job: Job) -> Iterator[Shape]:
    """Yield all shapes of a job that divide the model, of those that were asked for."""
    allows = job.asked.allows
    stages = min(MOST_STAGES, max(1, layout_of(job.profile).blocks.count))
    for tensor in _divisors(job.count, job.network.joined):
        for context in _divisors(job.count // tensor, MOST_CONTEXT):
            if not (allows("tensor_parallel", tensor) and allows("context_parallel", context)):
                continue
            if not _divides(job, tensor, context):
                continue
            for pipeline in _divisors(job.count // (tensor * context), stages):
                replicas = job.count // (tensor * context * pipeline)
                if not (allows("pipeline_parallel", pipeline) and allows("data_parallel", replicas)):
                    continue
                yield from _sized(job, Shape(tensor, context, pipeline, 1, 1, replicas))


def _sized(job: Job, shape: Shape) -> Iterator[Shape]:
    """Yield a shape with every number of devices that share experts, and every micro-batch."""
    if job.global_batch_size % shape.replicas:
        return
    for expert in _experts(job, shape.replicas * shape.context * shape.tensor):
        for size in micro_batches(job, job.global_batch_size // shape.replicas):
            if job.asked.allows("expert_parallel", expert):
                yield Shape(shape.tensor, shape.context, shape.pipeline, expert, size, shape.replicas)


def split_of(shape: Shape, order: Order, sharding: tuple[int, int], checkpointing: Checkpointing) -> Parallelism:
    """Return a split as the step model takes it; `sharding` is ZeRO stage and group."""
    return Parallelism(
        data_parallel=shape.replicas,
        tensor_parallel=shape.tensor,
        pipeline_parallel=shape.pipeline,
        virtual_pipeline=order.chunks,
        context_parallel=shape.context,
        expert_parallel=shape.expert,
        zero_stage=sharding[0],
        sharding_group=sharding[1],
        schedule=order.schedule,
        even_stages=order.even,
        sequence_parallel=shape.tensor > 1,
        activation_checkpointing=checkpointing,
    )


def orders(job: Job, shape: Shape) -> tuple[Order, ...]:
    """Return the schedules that a shape can run, of those that were asked for."""
    micro_batches = job.global_batch_size // (shape.replicas * shape.micro_batch_size)
    schedules = job.stack.schedules
    if (wanted := job.asked.value("schedule")) is not None:
        schedules = tuple(each for each in SCHEDULES if each == wanted)
    elif job.asked.value("virtual_pipeline") not in (None, 1):
        schedules = ("interleaved",)
    whole_rounds = micro_batches % shape.pipeline == 0 and "interleaved" in schedules
    return _orders((job.equal_layers, job.edges), shape.pipeline, whole_rounds, schedules, job.asked)


@lru_cache(maxsize=4096)
def _orders(
    equal: tuple[int, Edges], stages: int, whole_rounds: bool, schedules: tuple[Schedule, ...], asked: AskedSplit
) -> tuple[Order, ...]:
    """Schedules of so many equal layers (0: layers differ); chunks are interleaved in whole rounds only."""
    layers, edges = equal
    if stages == 1:
        alone = asked.wants("schedule", "1f1b") and asked.allows("virtual_pipeline", 1)
        return (Order("1f1b", 1),) if alone else ()
    deals = _deals(layers, edges, stages) if layers else {True: 1}
    found = [Order(schedule, 1, even) for even in deals for schedule in ALONE if schedule in schedules]
    found += [
        Order("interleaved", chunks, even)
        for even, most in deals.items()
        for chunks in _divisors(most, most)[1:]
        if whole_rounds and (even or layers_dealt(layers, edges, stages, chunks))
    ]
    return tuple(
        each
        for each in found
        if asked.allows("schedule", each.schedule)
        and asked.allows("virtual_pipeline", each.chunks)
        and asked.allows("even_stages", each.even)
    )


@lru_cache(maxsize=1024)
def _deals(layers: int, edges: Edges, stages: int) -> dict[bool, int]:
    """Return the ways to deal equal layers to stages: evenly or not -> the most layers that a stage gets."""
    found = {True: layers // stages} if layers % stages == 0 else {}
    dealt = layers_dealt(layers, edges, stages, 1)
    evenly = largest_load((layers // stages,) * stages, edges, stages)
    if dealt and (not found or largest_load(dealt, edges, stages) < WORTHWHILE * evenly):
        found[False] = max(dealt)
    return found


def shardings(job: Job, shape: Shape) -> tuple[tuple[int, int], ...]:
    """Return the ZeRO stages and sharding groups that a shape can run, of those that were asked for."""
    inside = job.network.joined // shape.tensor
    return _shardings(shape.sharers, shape.pipeline > 1, inside, job.stack.zero_stages, job.asked)


@lru_cache(maxsize=4096)
def _shardings(
    sharers: int, piped: bool, inside: int, stages: tuple[int, ...], asked: AskedSplit
) -> tuple[tuple[int, int], ...]:
    found = [(0, 0)]
    if sharers > 1:
        hybrid = [(3, inside)] if 1 < inside < sharers and sharers % inside == 0 else []
        found += [(1, 0)] if piped else [(1, 0), (2, 0), (3, 0), *hybrid]
    return tuple(
        (stage, group)
        for stage, group in found
        if stage in stages and asked.allows("zero_stage", stage) and asked.allows("sharding_group", group)
    )


@lru_cache(maxsize=4096)
def _divisors(number: int, most: int) -> tuple[int, ...]:
    return tuple(each for each in range(1, min(number, most) + 1) if number % each == 0)


def micro_batches(job: Job, samples: int) -> tuple[int, ...]:
    """Return the sizes of a micro-batch that are tried for the samples of one replica; one asked for is the only one.

    Up to each power of two the largest that divides and that the profile holds for: 1, 2, 4 ... of 512; 1, 5, 25 and
    125 of 125.
    """
    if (asked := job.asked.value("micro_batch_size")) is not None:
        return (int(str(asked)),) if samples % int(str(asked)) == 0 else ()
    profile, length = job.profile, job.profile.sequence_length
    most = min(MOST_SAMPLES, max(LARGEST_MICRO_BATCH, MOST_POSITIONS // length)) if length else MOST_SAMPLES
    unit = batch_multiple(profile)
    if not profile.trace.recording.batch_multiple:
        return (unit,) if samples % unit == 0 else ()
    single = (1,) if unit > 1 and profile.trace.single is not None else ()
    return (*single, *_largest_divisors(samples, unit, most))


@lru_cache(maxsize=4096)
def _largest_divisors(samples: int, unit: int, most: int) -> tuple[int, ...]:
    """Return the largest multiple of a unit that divides the samples, up to each power of two."""
    if samples % unit:
        return ()
    divisors = [each * unit for each in _divisors(samples // unit, most)]
    limits = [2**power for power in range(most.bit_length())]
    return tuple(sorted({max(each for each in divisors if each <= limit) for limit in limits if limit >= unit}))


def _divides(job: Job, tensor: int, context: int) -> bool:
    split = Parallelism(tensor_parallel=tensor, context_parallel=context, sequence_parallel=tensor > 1)
    try:
        check_split(job.profile, layout_of(job.profile), split)
        check_heads(job.profile, layout_of(job.profile), split)
    except UsageError:
        return False
    return True


def _experts(job: Job, holders: int) -> list[int]:
    counts = {linear.experts for linear in experts_of(layout_of(job.profile))}
    if not counts:
        return [1]
    return [
        degree
        for degree in _divisors(min(counts), holders)
        if holders % degree == 0 and all(count % degree == 0 for count in counts)
    ]
