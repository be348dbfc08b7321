"""`flopcast fit`: does a training step fit a device, how large can it be, and what would make it fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.device_filters import read_memory
from estimator.cli.market_options import devices_option
from estimator.cli.model_options import ROWS, SIZE, TRAINED, ModelQuestion, find_profile, model_options, profile_file
from estimator.cli.output import Answer, Output, output_options
from hardware_db.errors import UsageError
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.fit import Fit, WritingFit
    from estimator.text.page import Page
    from hardware_db import Database, Device
    from profiles.model_profile import ModelProfile

AUTO = {"train": ("amp_bfloat16", "amp_float16", "float32"), "forward": ("bfloat16", "float16", "float32")}
"""What a device runs where no precision is asked for: the first that it has; weights of inference are halves."""
LIGHTER = {
    "float32": ("bfloat16", "float16", "amp_bfloat16", "amp_float16"),
    "tf32": ("bfloat16", "float16", "amp_bfloat16", "amp_float16"),
    "amp_bfloat16": ("bfloat16",),
    "amp_float16": ("float16",),
}
"""Precisions that hold less, offered as a way where a profile in them is already there."""
SHOWN = 20
NO = 1
"""Exit code of "answered: nothing fits"."""


@click.command("fit")
@click.argument("model", shell_complete=completion.model)
@click.option(
    "--device",
    "--hardware",
    "name",
    required=True,
    shell_complete=completion.device,
    metavar="NAME",
    help="The device: l4, h100-sxm, tpu-v5e ...",
)
@click.option("--count", default=1, **SIZE, help="Devices, each with its own samples; default: 1.")
@click.option("--micro-batch-size", **SIZE, help="Samples (sequences) a device takes at once; default: the smallest.")
@model_options(
    "sequence_length",
    *TRAINED,
    precision="bf16, fp16, amp, float32; default: the device's best.",
    optimizer="adamw (default), sgd-momentum, adafactor, lion, muon, adamw-8bit ...",
)
@click.option("--inference", is_flag=True, help="The forward pass alone, without gradients.")
@click.option("--generation", is_flag=True, help="Write text with a KV cache; --sequence-length: prompt and answer.")
@click.option(
    "--prompt", "prompt_length", **SIZE, help="With --generation: tokens of the prompt; default: all but one."
)
@click.option(
    "--memory", "memory_bytes", callback=read_memory, metavar="SIZE",
    help="Memory of one device: 64GB of a host whose processor is asked for; default: the catalogue's.",
)  # fmt: skip
@devices_option
@click.option("--limit", **ROWS, help=f"Ways to show, 0 for all; default: {SHOWN}, all in --json.")
@output_options
def command(
    model: str, name: str, count: int, devices_file: Path | None, limit: int | None, output: Output, **options: Any
) -> int:
    """Say whether a step of MODEL fits a device, how large it can be, and what would make it fit.

    The table lists each way to hold less, with the memory that it saves and the time that it costs. Exit code 1:
    nothing fits.
    """
    from estimator.timing import as_benchmarked

    here = load_here(devices_file, needs_prices=False)
    device = _with_memory(as_benchmarked(here.database.device(name)), options.pop("memory_bytes"))
    micro_batch_size, prompt_length = options.pop("micro_batch_size"), options.pop("prompt_length")
    inference, writes = options.pop("inference"), options.pop("generation")
    if prompt_length is not None and not writes:
        raise UsageError("--prompt is the prompt of --generation: give both")
    question = ModelQuestion(model, "forward" if inference or writes else "train", **options)
    question = replace(question, precision=question.precision or _precision(question, device))
    if device.kind == "cpu" and profile_file(model) is None:
        question = replace(question, device="cpu")
    ask = _Ask(question, device, count, micro_batch_size, prompt_length, here.database)
    found = _written(ask, output) if writes else _stepped(ask, output)
    output.show(replace(_answer(found, limit), warnings=here.warnings))
    return 0 if found.fits else NO


def _with_memory(device: Device, memory_bytes: int | None) -> Device:
    """Return the device with as much memory as was said; a processor's comes with its machine."""
    if memory_bytes is not None:
        return replace(device, memory_bytes=memory_bytes, visible_memory_bytes=None)
    if device.usable_memory_bytes is None:
        raise UsageError(
            f"The memory of {device.id} comes with its machine: say how much it has with --memory 64GB"
            if device.kind == "cpu"
            else f"The memory of {device.id} is unknown: say how much it has with --memory 64GB"
        )
    return device


@dataclass(frozen=True, slots=True)
class _Ask:
    question: ModelQuestion
    device: Device
    count: int
    micro_batch_size: int | None
    prompt_length: int | None
    database: Database


def _stepped(ask: _Ask, output: Output) -> Fit:
    """Answer for a step of training or a forward pass."""
    from estimator.fit import fit
    from estimator.memory import MemorySettings, optimizer

    named = ask.question.optimizer
    if named is not None:
        optimizer(named)
    apart = named if named in _untraced() and ask.question.mode == "train" else None
    question = replace(ask.question, optimizer=None) if apart else ask.question
    profile = find_profile(question, output)
    return fit(
        [profile, *_others(question, profile, ask.device)],
        ask.device,
        ask.count,
        micro_batch_size=ask.micro_batch_size or (profile.batch_size if question.inputs else None),
        sequence_length=question.sequence_length,
        settings=MemorySettings(optimizer=apart),
        database=ask.database,
    )


def _untraced() -> tuple[str, ...]:
    """Return the optimizers with which no step is recorded: what they hold is worked out from another recording."""
    from estimator.memory.states import optimizers

    return tuple(name for name, each in optimizers().items() if not each.traced)


def _written(ask: _Ask, output: Output) -> WritingFit:
    """Answer for text that is written with a KV cache."""
    from estimator.fit import fit_generation
    from estimator.memory import Generation

    profile = find_profile(ask.question, output)
    context = ask.question.sequence_length or profile.sequence_length
    if context is None:
        raise UsageError(f"{profile.model} has no sequences: it writes no text. One forward pass: --inference")
    how = Generation(context, ask.micro_batch_size or 1, ask.prompt_length)
    return fit_generation(profile, ask.device, ask.count, how=how, database=ask.database)


def _precision(question: ModelQuestion, device: Device) -> str | None:
    """Return what the device runs best; None for a saved profile, which has its own."""
    if profile_file(question.model) is not None:
        return None
    halves = AUTO[question.mode or "train"]
    return next((each for each in halves if device.supports(each)), halves[0])


def _others(question: ModelQuestion, profile: ModelProfile, device: Device) -> Iterator[ModelProfile]:
    """Yield the profiles of the same step in other precisions of the device that are already there."""
    from profiles.recall import known

    if profile_file(question.model) is not None:
        return
    for precision in LIGHTER.get(profile.precision, ()):
        if device.supports(precision):
            other = replace(question, precision=precision)
            found = known(other.model, other.request(), inputs=other.input_specs())
            if found is not None:
                yield found


def _answer(found: Fit | WritingFit, limit: int | None) -> Answer:
    def text(page: Page) -> str:
        from estimator.fit import Fit
        from estimator.text.fits import fit_text
        from estimator.text.writing import writing_text

        shown = SHOWN if limit is None else limit
        return fit_text(found, page, shown) if isinstance(found, Fit) else writing_text(found, page, shown)

    def results() -> list[dict[str, Any]]:
        told = found.to_dict()
        return [{**told, "ways": told["ways"][: limit or None]}]

    def rows() -> list[dict[str, Any]]:
        return [way.to_dict() for way in (found.ways[:limit] if limit else found.ways)]

    run = {"model": found.profile.model, "device": found.device.id, "count": found.count}
    return Answer("fit", text, results, run, found.notes, rows=rows)
