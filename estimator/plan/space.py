"""All splits that are searched.

Every degree takes every value that divides what it must: devices, heads and features, layers, experts, half of the
sequence. What is left out, because it never wins or no framework runs it: tensor parallelism across slow links; more
than `MOST_CONTEXT` parts of a sequence; micro-batches other than powers of two; ZeRO 2 and 3 together with a pipeline
(gradients or parameters would travel for every micro-batch); GPipe (never faster than 1F1B, and it holds more).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from estimator.parallel.layout import layout_of
from estimator.parallel.parallelism import Checkpointing, Parallelism, Schedule
from estimator.parallel.sharding import check_split, experts_of
from estimator.parallel.stages import edges_of, largest_load, layers_dealt
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.stages import Edges
    from estimator.plan.job import Job

MOST_CONTEXT: Final = 16
MOST_STAGES: Final = 64
LARGEST_MICRO_BATCH: Final = 64
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
        for size in _micro_batches(job.global_batch_size // shape.replicas):
            if job.asked.allows("expert_parallel", expert) and job.asked.allows("micro_batch_size", size):
                yield replace(shape, expert=expert, micro_batch_size=size)


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


def orders(job: Job, shape: Shape) -> list[Order]:
    """Return the schedules that a shape can run, of those that were asked for."""
    allows = job.asked.allows
    return [
        each
        for each in ([Order("1f1b", 1)] if shape.pipeline == 1 else _orders(job, shape))
        if allows("schedule", each.schedule)
        and allows("virtual_pipeline", each.chunks)
        and (allows("even_stages", each.even) or shape.pipeline == 1)
    ]


def _orders(job: Job, shape: Shape) -> list[Order]:
    micro_batches = job.global_batch_size // (shape.replicas * shape.micro_batch_size)
    blocks = layout_of(job.profile).blocks
    if not blocks.uniform:
        return [Order("1f1b", 1), Order("zero_bubble", 1)]
    found = []
    for even, most in _deals(blocks.count, edges_of(job.profile), shape.pipeline).items():
        found += [Order("1f1b", 1, even), Order("zero_bubble", 1, even)]
        if micro_batches % shape.pipeline == 0:
            chunks = _divisors(most, most)[1:]
            found += [Order("interleaved", each, even) for each in chunks if even or _enough(job, shape.pipeline, each)]
    return found


@lru_cache(maxsize=1024)
def _deals(layers: int, edges: Edges, stages: int) -> dict[bool, int]:
    """Return the ways to deal equal layers to stages: evenly or not -> the most layers that a stage gets."""
    found = {True: layers // stages} if layers % stages == 0 else {}
    dealt = layers_dealt(layers, edges, stages, 1)
    evenly = largest_load((layers // stages,) * stages, edges, stages)
    if dealt and (not found or largest_load(dealt, edges, stages) < WORTHWHILE * evenly):
        found[False] = max(dealt)
    return found


def _enough(job: Job, stages: int, chunks: int) -> bool:
    """Whether layers dealt by what there is to do leave no chunk without any."""
    return layers_dealt(layout_of(job.profile).blocks.count, edges_of(job.profile), stages, chunks) is not None


def shardings(job: Job, shape: Shape) -> list[tuple[int, int]]:
    """Return the ZeRO stages and sharding groups that a shape can run, of those that were asked for."""
    allows = job.asked.allows
    return [
        (stage, group)
        for stage, group in _shardings(job, shape)
        if stage in job.stack.zero_stages and allows("zero_stage", stage) and allows("sharding_group", group)
    ]


def _shardings(job: Job, shape: Shape) -> list[tuple[int, int]]:
    sharers = shape.replicas * shape.context
    if sharers == 1:
        return [(0, 0)]
    if shape.pipeline > 1:
        return [(0, 0), (1, 0)]
    inside = job.network.joined // shape.tensor
    hybrid = [(3, inside)] if 1 < inside < sharers and sharers % inside == 0 else []
    return [(0, 0), (1, 0), (2, 0), (3, 0), *hybrid]


@lru_cache(maxsize=4096)
def _divisors(number: int, most: int) -> tuple[int, ...]:
    return tuple(each for each in range(1, min(number, most) + 1) if number % each == 0)


def _micro_batches(samples: int) -> list[int]:
    sizes = [2**power for power in range(LARGEST_MICRO_BATCH.bit_length())]
    return [size for size in sizes if samples % size == 0]


def _divides(job: Job, tensor: int, context: int) -> bool:
    split = Parallelism(tensor_parallel=tensor, context_parallel=context, sequence_parallel=tensor > 1)
    try:
        check_split(job.profile, layout_of(job.profile), split)
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
