"""Why no split of a job was searched: what was asked for contradicts model, batch, devices or software."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from estimator.parallel.layout import layout_of
from estimator.parallel.sharding import check_heads, check_split
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.parallelism import Parallelism
    from estimator.plan.job import Job

NOTHING: Final = "no split that was searched divides the model and the batch"


def refusal(job: Job) -> str:
    """Return the first thing that is wrong with the split that was asked for, else that nothing divides."""
    try:
        split = job.asked.on(job.count)
        check_split(job.profile, layout_of(job.profile), split)
        check_heads(job.profile, layout_of(job.profile), split)
        size = job.asked.value("micro_batch_size")
        split.micro_batches(job.global_batch_size, int(str(size)) if size is not None else 1)
    except UsageError as error:
        return str(error)
    return _not_run(job, split) or NOTHING


def _not_run(job: Job, split: Parallelism) -> str:
    """Return what software or search leave out; "" where it is neither."""
    if split.zero_stage not in job.stack.zero_stages:
        known = ", ".join(map(str, job.stack.zero_stages))
        return f"{job.stack.name} has no ZeRO {split.zero_stage}; it has {known}"
    if split.pipeline_parallel > 1 and split.zero_stage > 1:
        return f"ZeRO {split.zero_stage} is not searched with a pipeline: its traffic would repeat every micro-batch"
    if split.tensor_parallel > (joined := job.network.joined):
        return f"tensor_parallel {split.tensor_parallel}: fast links join {joined} devices, no more are searched"
    return ""
