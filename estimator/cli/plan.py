"""`flopcast plan`: how to split a training step over many devices, and how many of them pay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.cluster_options import ClusterFacts, cluster_options
from estimator.cli.estimate import AUTO
from estimator.cli.market_options import devices_option
from estimator.cli.model_options import TRAINED, ModelQuestion, find_profile, model_options, profile_file
from estimator.cli.output import Answer, Output, output_options
from estimator.cli.split_option import split_option
from estimator.parallel.asked import ANYTHING
from hardware_db.errors import QuantityError, UsageError, one_line
from hardware_db.here import load_here
from hardware_db.units import parse_count

if TYPE_CHECKING:
    from estimator.parallel.asked import AskedSplit
    from estimator.parallel.stack import Stack
    from estimator.plan import Job, Scaling
    from estimator.text.page import Page
    from hardware_db import Device, System
    from profiles.model_profile import ModelProfile

NO = 1
"""Exit code of "answered: nothing fits"."""

TOKENS = "-tokens"
FORMATS = ("torchrun", "torchtitan", "accelerate-fsdp", "accelerate-deepspeed", "megatron", "maxtext")
SOFTWARE = ("pytorch", "pytorch-fsdp", "megatron", "xla")
SOFTWARE_OF = {
    "torchtitan": "pytorch-fsdp",
    "accelerate-fsdp": "pytorch",
    "accelerate-deepspeed": "pytorch",
    "megatron": "megatron",
    "maxtext": "xla",
}
"""Format of a file -> the software that reads it, as `--software` names it."""


@click.command("plan")
@click.argument("model", shell_complete=completion.model)
@click.option(
    "--hardware",
    "--device",
    required=True,
    shell_complete=completion.device,
    metavar="NAME",
    help="The device: h100-sxm, tpu-v5e ...",
)
@click.option("--count", required=True, metavar="N", help="Devices: 512, 64,128 or all doublings of a range: 8..1024.")
@click.option(
    "--global-batch-size",
    "--batch-size",
    required=True,
    metavar="N",
    help="Samples of one step, or tokens: 512, 4M-tokens.",
)
@model_options("sequence_length", *TRAINED, precision="bf16-mixed, fp16-mixed, fp8 ...; default: its best.")
@click.option("--software", type=click.Choice(SOFTWARE), help="What runs the step; default: what usually does.")
@split_option("Search only splits with these degrees: tp=8,pp=16,zero=1,recompute=none.")
@click.option("--export", "form", type=click.Choice(FORMATS), help="Print the best plan as the file of this software.")
@click.option(
    "--machine",
    shell_complete=completion.machine,
    metavar="NAME",
    help="The machine and its links: aws-p4d-24xlarge, dgx-h100; default: the vendor's.",
)
@cluster_options
@devices_option
@output_options
def command(
    model: str,
    hardware: str,
    count: str,
    global_batch_size: str,
    software: str | None,
    split: AskedSplit | None,
    form: str | None,
    machine: str | None,
    cluster: ClusterFacts,
    output: Output,
    **options: Any,
) -> int:
    """Plan how to split a training step of MODEL over many devices: degrees, ZeRO stage, micro-batch, schedule.

    Searches all splits that divide the model and shows the fastest that fits, what the others lose, and, for several
    counts, where more devices stop paying. Exit code 1: nothing fits.
    """
    from estimator.parallel.network import named_system, usual_system
    from estimator.plan import scaling_of
    from estimator.plan.prices import rentals_of
    from estimator.timing import as_benchmarked

    here = load_here(options.pop("devices_file"))
    device = cluster.of(as_benchmarked(here.database.device(hardware)))
    counts = read_counts(count)
    profile = find_profile(_precise(ModelQuestion(model, **options), device), output)
    batch, said = read_batch(global_batch_size, profile, [each * device.logical_devices for each in counts])
    stack = _stack(software or SOFTWARE_OF.get(form or ""), profile, device)
    named = named_system(here.database, device, machine) if machine is not None else None
    job = _job(profile, device, named or usual_system(here.database, device), stack, batch)
    asked = (split or ANYTHING).within(_runs(form))
    job = replace(job, asked=asked, routing=cluster.routing, data_samples_per_s=cluster.data_samples_per_s)
    _check_experts(profile, cluster)
    job = replace(job, network=cluster.joining(job.network))
    found = scaling_of(job, counts, rentals_of(here.database, device, job.network, counts, named))
    if form is not None and found.feasible:
        return _export(found, form, output)
    output.show(replace(_answer(found, said), warnings=here.warnings))
    return 0 if found.feasible else NO


def _runs(form: str | None) -> Mapping[str, tuple[object, ...]]:
    """Return what the software of a file can run; all where none is asked for."""
    from estimator.plan.exports import RUNS

    return RUNS[form] if form is not None else {}


def read_counts(text: str) -> list[int]:
    """Read "512", "64,128" or "8..1024" (all doublings of the first up to the last).

    Raises
    ------
    QuantityError
        it is none of these
    """
    first, dots, last = text.partition("..")
    parts = [part.strip() for part in ([first, last] if dots else text.split(","))]
    if not all(part.isdecimal() and len(part) < 10 and int(part) > 0 for part in parts):
        raise QuantityError(f"--count {one_line(text)}: give a number of devices, or several: 512, 64,128 or 8..1024")
    numbers = [int(part) for part in parts]
    if not dots:
        return sorted(set(numbers))
    if numbers[1] < numbers[0]:
        raise QuantityError(f"--count {one_line(text)}: the range ends before it begins")
    return [numbers[0] << power for power in range((numbers[1] // numbers[0]).bit_length())]


def read_batch(text: str, profile: ModelProfile, devices: Sequence[int] = ()) -> tuple[int, list[str]]:
    """Read samples ("512") or tokens ("4M-tokens"); tokens become a number of samples that divides well.

    It divides over all `devices`, or as many of one of them as can be, and by as large a power of two, where such a
    number is at most 5 % off.

    Raises
    ------
    QuantityError
        it is no number, or tokens of a model without a sequence
    """
    if not text.endswith(TOKENS):
        return _samples(parse_count(text), text), []
    length = profile.sequence_length
    if length is None:
        raise QuantityError(f"--global-batch-size {text}: {profile.model} has no sequence; give samples")
    samples = _samples(parse_count(text.removesuffix(TOKENS)) / length, text)
    shared = (math.lcm(*devices), *sorted(devices, reverse=True), 1)
    base = next(each for each in shared if _rounded(samples, each))
    unit = max(base << power for power in range(samples.bit_length() + 1) if _rounded(samples, base << power))
    chosen = _rounded(samples, unit)
    return chosen, [f"{text}: {chosen:,} sequences of {length:,} tokens, the nearest multiple of {unit:,}"]


def _samples(number: float, text: str) -> int:
    if round(number) < 1:
        raise QuantityError(f"--global-batch-size {text} is less than one sample")
    return round(number)


def _rounded(samples: int, unit: int) -> int:
    """Return the nearest multiple of the unit, 0 where that is more than 5 % away."""
    nearest = round(samples / unit) * unit
    return nearest if nearest and abs(nearest - samples) <= 0.05 * samples else 0


def _check_experts(profile: ModelProfile, cluster: ClusterFacts) -> None:
    """Refuse what was said of experts where the model has none.

    Raises
    ------
    UsageError
        a capacity or a load of experts was given for a model without any
    """
    from estimator.parallel.layout import layout_of

    given = {"--capacity-factor": cluster.capacity_factor, "--expert-load": cluster.expert_load}
    said = [name for name, value in given.items() if value is not None]
    if said and not layout_of(profile).has_experts:
        raise UsageError(f"{profile.model} has no experts; leave out {said[0]}")


def _precise(question: ModelQuestion, device: Device) -> ModelQuestion:
    """Return the question in the precision asked for, else in the first that the device has."""
    if question.precision is not None or profile_file(question.model) is not None:
        return question
    return replace(question, precision=next((each for each in AUTO if device.supports(each)), AUTO[-1]))


def _stack(name: str | None, profile: ModelProfile, device: Device) -> Stack:
    """Return the software asked for, else what such a step is usually run with."""
    from estimator.parallel.stack import STACKS
    from estimator.plan.job import stack_for

    return stack_for(profile, device) if name is None else STACKS[name.replace("-", " ")]


def _job(profile: ModelProfile, device: Device, system: System | None, stack: Stack, batch: int) -> Job:
    from estimator.parallel.network import network_of
    from estimator.plan import Job

    return Job(profile, device.logical_device(), network_of(device, system), stack, 1, batch)


def _answer(found: Scaling, said: list[str]) -> Answer:
    from estimator.plan.rows import asked_of, rows_of
    from estimator.text.plan import assumed_of

    assumed = said + assumed_of(found)

    def text(page: Page) -> str:
        from estimator.text.plan import plan_text

        return plan_text(found, assumed, page)

    knees = {"knee_hours": found.knee("hours"), "knee_dollars": found.knee("dollars")}
    run = asked_of(found.job)
    return Answer("plan", text, results=lambda: rows_of(found), run=run, assumptions=assumed, more=knees)


def _export(found: Scaling, form: str, output: Output) -> int:
    from estimator.plan.exports import exported
    from estimator.plan.rows import asked_of

    point = found.feasible[-1]
    text = exported(form, point.found, found.job.on(point.count))
    rows = [{"format": form, "file": text}]
    output.show(Answer("plan", lambda _page: text, results=lambda: rows, run=asked_of(found.job)))
    return 0
