"""What `flopcast benchmark` measures on the devices at hand, with a line of progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.model_options import ModelQuestion
from estimator.cli.output import Output, is_terminal
from estimator.cli.progress import progress
from hardware_db.units import format_duration, format_rate, product_precision

if TYPE_CHECKING:
    from estimator.cli.benchmark_step import StepCheck
    from hardware_db import Device
    from profiles.benchmark.session import Progress
    from profiles.benchmark.target import Target
    from profiles.machine_profile import MachineProfile, Timing

INTERRUPTED = 130
STEP_SECONDS = 20.0
STEPS = (3, 40)
"""Fewest and most measured training steps."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be measured; None: the default."""

    device: str | None
    full: bool
    precision: str | None
    seconds: float | None
    model: ModelQuestion | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A profile, the row of the database that the device is, whether somebody stopped it, and a step of a model."""

    profile: MachineProfile
    device: Device | None
    interrupted: bool = False
    step: StepCheck | None = None


def run(ask: Ask, chosen: Sequence[Target], output: Output) -> Iterator[Measured]:
    """Measure the chosen devices, one after the other.

    Raises
    ------
    UsageError
        The model cannot be trained on one of them.
    """
    from profiles.benchmark.session import Plan, measure

    for target in chosen:
        plan = Plan("full" if ask.full else "quick", _precisions(ask.precision, target), ask.seconds)
        with _line(output) as show:
            try:
                profile = measure(target, plan, show)
            except KeyboardInterrupt:
                raise click.Abort from None
        measured = Measured(profile, target.device, not profile.complete)
        yield measured if ask.model is None or measured.interrupted else _with_step(measured, ask.model, target, output)
        if measured.interrupted:
            return


def _with_step(measured: Measured, question: ModelQuestion, target: Target, output: Output) -> Measured:
    """Add a training step; stopped within it, the profile is kept without."""
    try:
        timing = _step(question, target, output)
    except KeyboardInterrupt:
        return replace(measured, interrupted=True)
    from estimator.cli.benchmark_step import step_check

    profile = replace(measured.profile, timings=(*measured.profile.timings, timing))
    return replace(measured, profile=profile, step=step_check(profile, question, target, output))


def _precisions(asked: str | None, target: Target) -> tuple[str, ...]:
    """Return what was asked for and float32; the first one is timed in all shapes, on a CPU always float32."""
    if asked is None:
        return ()
    both = (product_precision(asked), "float32")
    return tuple(dict.fromkeys(both if target.lab.kind == "gpu" else reversed(both)))


def targets_of(name: str | None, torch: Any) -> tuple[Target, ...]:
    """Return the devices that a name means: "cpu", "cuda:1", "all"; None: the first card, else the CPU."""
    from hardware_db.here import load_here
    from profiles.benchmark.target import default_name, targets

    return targets(name or default_name(torch), torch, load_here(needs_own=False).database)


def training_of(question: ModelQuestion, target: Target) -> tuple[Any, Any, Any]:
    """Return definition, sizes and settings of the step to be run."""
    from profiles.trace.settings import StepSettings

    definition, request = question.definition(), question.request()
    sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
    kind = "cpu" if target.lab.kind == "cpu" else "cuda"
    return definition, sizes, StepSettings("train", request.precision, request.optimizer, kind)


def _step(question: ModelQuestion, target: Target, output: Output) -> Timing:
    from profiles.benchmark.sampling import Effort
    from profiles.benchmark.session import time_case
    from profiles.benchmark.steps import step_case

    fewest, most = STEPS
    case = step_case(*training_of(question, target))
    with progress(f"Timing {case.name}", output):
        timing, _ = time_case(target, case, Effort(STEP_SECONDS, fewest, most, repeat_s=0.0))
    return timing


@contextmanager
def _line(output: Output) -> Iterator[Callable[[Progress], None]]:
    """Show one line that is erased at the end, if a person is watching."""
    if output.quiet or not is_terminal():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, no_color=output.color is False)
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task, started = bar.add_task("Preparing", total=None, left=""), time.monotonic()

        def show(at: Any) -> None:
            left = time_left_s(at.done, at.total, time.monotonic() - started, at.seconds_left)
            what = f"Timing {at.name}  {at.done}/{at.total}{latest(at.latest)}"
            bar.update(task, description=what, total=at.total, completed=at.done, left=f"{left:.0f} s left")

        yield show


def time_left_s(done: int, total: int, elapsed_s: float, budget_s: float) -> float:
    """Return the seconds that the remaining cases take at the pace so far, within the budget.

    >>> time_left_s(10, 40, 5.0, 40.0), time_left_s(10, 40, 5.0, 8.0), time_left_s(0, 40, 0.0, 45.0)
    (15.0, 8.0, 45.0)
    """
    return min(budget_s, elapsed_s / done * (total - done)) if done else budget_s


def latest(timing: Timing | None) -> str:
    """Return what the last case reached, as the running estimate."""
    if timing is None:
        return ""
    if timing.flops_per_s is not None:
        return f"  ({format_rate(timing.flops_per_s)})"
    return f"  ({format_duration(timing.typical_s)})"
