"""The search against every split there is: an enumeration of its own, every candidate simulated, nothing pruned."""

from itertools import product

import pytest

import hardware_db
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import CHECKPOINTING, Parallelism
from estimator.parallel.stack import MEGATRON, TORCH, XLA
from estimator.parallel.step import parallel_step
from estimator.plan.job import Job
from estimator.plan.search import ALIKE, search
from hardware_db.errors import UsageError
from profiles.library import Question, find

DATABASE = hardware_db.load()
JOBS = {
    "one machine": ("gpt2", "h100-sxm", 4, 8, 1024, MEGATRON),
    "memory binds": ("gpt2-large", "t4", 4, 4, 1024, MEGATRON),
    "chips": ("gpt2-medium", "tpu-v3", 2, 8, 1024, XLA),
    "images": ("resnet50", "v100-sxm2-32gb", 4, 8, None, TORCH),
    "experts": ("mixtral-8x7b", "gb200", 8, 8, 1024, MEGATRON),
    "two machines": ("gpt2-xl", "a100-sxm-40gb", 16, 16, 1024, TORCH),
}
QUICK = ("memory binds", "images", "chips")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in JOBS]


def job_of(name):
    model, device_name, count, batch, length, stack = JOBS[name]
    device = DATABASE.device(device_name)
    precision = "amp_bfloat16" if device.supports("amp_bfloat16") else "amp_float16"
    profile = find(Question(model, "train", precision, "adamw", "cuda"), 1, length)
    network = network_of(device, usual_system(DATABASE, device))
    job = Job(profile.at(1, length) if length else profile.at(1), device.logical_device(), network, stack, 1, batch)
    return job.on(count)


def powers(most):
    return [2**power for power in range(most.bit_length()) if 2**power <= most]


def every_split(job):
    """All splits of powers of two over all devices and their micro-batches; the model itself refuses what is wrong."""
    count = job.count
    degrees = [each for each in product(powers(count), repeat=3) if count % (each[0] * each[1] * each[2]) == 0]
    experts = powers(min(count, 8)) if "mixtral" in job.profile.model else [1]
    for (tensor, context, pipeline), expert in product(degrees, experts):
        if pipeline > 1:
            orders = [(schedule, chunks) for schedule in job.stack.schedules
                      for chunks in ([1] if schedule != "interleaved" else range(2, 49))]  # fmt: skip
            kinds = product(orders, (True, False), (0, 1), CHECKPOINTING)
        else:
            kinds = product([("1f1b", 1)], (True,), job.stack.zero_stages, CHECKPOINTING)
        for (schedule, chunks), even, zero, kept in kinds:
            try:
                yield Parallelism(
                    count // (tensor * context * pipeline), tensor, pipeline, chunks, context, expert, zero, 0,
                    schedule, even, tensor > 1, kept,
                )  # fmt: skip
            except UsageError:
                continue


def every_step(job):
    """Seconds and bytes of all splits and micro-batches that the step model takes."""
    for split in every_split(job):
        for size in powers(job.global_batch_size):
            try:
                batches = split.micro_batches(job.global_batch_size, size)
                step = parallel_step(job.at(size), split, job.setting, batches)
            except UsageError:
                continue
            yield step.total.mid, step.peak_memory_bytes


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_fits_is_faster_than_what_the_search_finds(name):
    job = job_of(name)
    fitting = [seconds for seconds, held in every_step(job) if held <= job.capacity_bytes]
    found = search(job)
    assert min(plan.seconds for plan in found.plans) <= min(fitting) * (1 + 1e-9)
    assert found.best.seconds <= min(fitting) * ALIKE
    assert found.evaluated < len(fitting)
