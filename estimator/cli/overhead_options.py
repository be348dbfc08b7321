"""The options that say what a run takes besides its training steps: shared by every command about a whole run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import click

from estimator.cli.model_options import SIZE
from estimator.cli.quantities import read_as
from estimator.whole_run.overheads import NEVER, Overheads
from hardware_db.errors import UsageError


def overhead_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of `Overheads`; the command receives them as `overheads`, None with --steps-only."""

    @functools.wraps(command)
    def wrapped(*args: Any, steps_only: bool, **parameters: Any) -> int:
        given = {name: parameters.pop(name) for name in Overheads.__dataclass_fields__ if name in parameters}
        if steps_only and any(value is not None for value in given.values()):
            raise UsageError("--steps-only leaves out what the other options say: give one or the other")
        if (given["eval_every_steps"] is None) != (given["eval_samples"] is None):
            raise UsageError("--eval-every and --eval-samples go together: every how many steps, and how many samples")
        return command(*args, overheads=None if steps_only else Overheads(**given), **parameters)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _read_interval(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Read a duration, or "never"."""
    return NEVER if text == "never" else read_as("duration_s")(context, parameter, text)


def _read_seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Read a duration that may be 0."""
    return 0.0 if text == "0" else read_as("duration_s")(context, parameter, text)


_POSITIVE = click.FloatRange(min=0, min_open=True, max=math.inf)
_TIME: dict[str, Any] = {"callback": _read_seconds, "metavar": "TIME"}
_OPTIONS = (
    click.option("--data-rate", "data_samples_per_s", type=_POSITIVE, metavar="N",
                 help="Samples a second that the data loader brings; see flopcast benchmark --dataloader."),
    click.option("--eval-every", "eval_every_steps", **SIZE, help="Evaluate every so many steps."),
    click.option("--eval-samples", "eval_samples", **SIZE, help="Samples of one evaluation."),
    click.option("--checkpoint-every", "checkpoint_every_s", callback=_read_interval, metavar="TIME",
                 help="Time between checkpoints, or never; default: Young and Daly's best."),
    click.option("--checkpoint-size", "checkpoint_bytes", callback=read_as("bytes"), metavar="SIZE",
                 help="Of one; default: parameters and optimizer states."),
    click.option("--storage-bandwidth", "storage_bytes_per_s", callback=read_as("bytes"), metavar="SIZE",
                 help="Bytes a second that checkpoints are written with, all machines together: 1GB."),
    click.option("--mtbf", "device_hours_between_failures", type=_POSITIVE, metavar="HOURS",
                 help="Mean device-hours between failures; default: published records."),
    click.option("--restart-time", "restart_s", **_TIME, help="From a failure to the next step."),
    click.option("--provisioning", "provisioning_s", **_TIME, help="Until rented machines run a first command."),
    click.option("--startup", "startup_s", **_TIME, help="From the command to the first step."),
    click.option("--compile-time", "compile_s", **_TIME, help="First call of a compiled step."),
    click.option("--stored", "stored_bytes", callback=read_as("bytes"), metavar="SIZE",
                 help="What lies in the provider's storage meanwhile; default: not billed."),
    click.option("--egress", "egress_bytes", callback=read_as("bytes"), metavar="SIZE",
                 help="What leaves the provider's network; default: not billed."),
    click.option("--steps-only", is_flag=True, help="The training steps alone, nothing of the above."),
)  # fmt: skip
