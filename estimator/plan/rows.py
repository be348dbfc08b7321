"""Plans as plain rows: base units, names of the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from estimator.plan.scaling import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from estimator.plan.job import Job
    from estimator.plan.scaling import Point, Scaling
    from estimator.plan.search import Plan

DEGREES: Final = (
    "data_parallel", "tensor_parallel", "pipeline_parallel", "virtual_pipeline", "context_parallel", "expert_parallel",
    "zero_stage", "sharding_group", "schedule", "even_stages", "sequence_parallel", "activation_checkpointing",
)  # fmt: skip


def asked_of(job: Job) -> dict[str, str | int | None]:
    """Return what was asked: the model, its step, and what runs it."""
    profile = job.profile
    return {
        "model": profile.model,
        "precision": profile.precision,
        "optimizer": profile.optimizer,
        "sequence_length": profile.sequence_length,
        "image_size": profile.image_size,
        "global_batch_size": job.global_batch_size,
        "device": job.device.id,
        "links": job.network.name,
        "software": job.stack.name,
    }


def rows_of(scaling: Scaling) -> list[dict[str, Any]]:
    """Return the plans of one number of devices, or the best of each where there are several."""
    points = scaling.points
    if len(points) == 1:
        return [plan_row(points[0], plan) | price_row(scaling, points[0], plan) for plan in points[0].found.plans]
    return [
        plan_row(point, best) | price_row(scaling, point, best) if (best := point.found.best) else missing_row(point)
        for point in points
    ]


def price_row(scaling: Scaling, point: Point, plan: Plan) -> dict[str, Any]:
    """Return the cheapest machines for so many devices and what a step of a plan costs there; None where unknown."""
    rental = scaling.rentals.get(point.count)
    if rental is None:
        return dict.fromkeys(("provider", "instance", "usd_per_hour", "usd_per_step"))
    usd = rental.usd_per_hour * plan.seconds / SECONDS_PER_HOUR
    offer = rental.offer
    priced = {"usd_per_hour": rental.usd_per_hour, "usd_per_step": usd}
    return {"provider": offer.provider, "instance": offer.instance, **priced}


def plan_row(point: Point, plan: Plan) -> dict[str, Any]:
    """Return one plan; `slower` is its time over that of the best, minus 1."""
    step, best = plan.step, point.found.best or plan
    return {
        "device_count": point.count,
        **{name: getattr(plan.split, name) for name in DEGREES},
        "micro_batch_size": step.micro_batch_size,
        "gradient_accumulation_steps": step.micro_batches,
        "step_time_s_low": step.total.low,
        "step_time_s": step.total.mid,
        "step_time_s_high": step.total.high,
        "slower": plan.seconds / best.seconds - 1,
        "mfu": step.mfu,
        "peak_memory_bytes": step.peak_memory_bytes,
        "communication_s": step.communication_s,
        "bound": step.bound,
        "parts_s": {name: seconds.mid for name, seconds in step.parts.items()},
        "stage_layers": list(step.stage_layers),
        "stage_memory_bytes": [stage.total_bytes for stage in step.memory],
        "basis": step.basis,
        "why_not": None,
    }


def missing_row(point: Point) -> dict[str, Any]:
    """Return the row of a number of devices on which nothing fits."""
    return {"device_count": point.count, "why_not": why_not(point)}


def why_not(point: Point) -> str:
    """Say why nothing fits."""
    nearest = " or ".join(f"{each:,}" for each in point.found.nearest_batches)
    near = f"; batches that divide over all {point.count:,} devices next to it: {nearest}" if nearest else ""
    if not point.found.searched:
        return f"{point.found.refused}{near}"
    held = f"{point.found.least_bytes / 2**30:.1f} GiB a device"
    return f"the smallest of {point.found.searched:,} splits holds {held}{near}"
