"""The options that say what is to be trained: shared by every command that asks about a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.model_options import SIZE
from estimator.cli.quantities import read_as, read_tokens, read_utilisation
from estimator.whole_run.compute_optimal import compute_optimal_tokens
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True, slots=True)
class Work:
    """How much is to be trained and in which steps, as `estimator.TrainingRun` takes it; None: its default."""

    compute_optimal: bool = False
    tokens: int | None = None
    samples: int | None = None
    epochs: float | None = None
    steps: int | None = None
    dataset_size: int | None = None
    global_batch_size: int | None = None
    micro_batch_size: int | None = None
    sequence_length: int | None = None
    compiled: bool = False
    channels_last: bool = False
    mfu: float | None = None

    def check(self) -> None:
        """Refuse a missing or contradicting amount of work before anything is computed."""
        amounts = {"--tokens": self.tokens, "--samples": self.samples, "--epochs": self.epochs, "--steps": self.steps}
        given = [option for option, value in amounts.items() if value is not None]
        given += ["--compute-optimal"] if self.compute_optimal else []
        if len(given) != 1:
            stated = f"given: {' and '.join(given)}" if given else "none is given"
            raise UsageError(f"Give exactly one of {', '.join(amounts)}; {stated}. For example --tokens 10B")
        if (self.epochs is None) != (self.dataset_size is None):
            raise UsageError("--epochs and --dataset-size (samples of one epoch) go together: give both or neither")

    def of(self, profile: ModelProfile) -> dict[str, Any]:
        """Return it as the keyword arguments of `estimator.TrainingRun`."""
        given = asdict(self)
        if given.pop("compute_optimal"):
            given["tokens"] = compute_optimal_tokens(profile.parameters)
        return given


def work_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a `Work`; the command receives it as `work`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **parameters: Any) -> int:
        work = Work(**{name: parameters.pop(name) for name in Work.__dataclass_fields__})
        return command(*args, work=work, **parameters)

    for option in reversed(_WORK):
        wrapped = option(wrapped)
    return wrapped


_COUNT: dict[str, Any] = {"callback": read_as("count"), "metavar": "N"}
_WORK = (
    click.option("--compute-optimal", is_flag=True, help="Train on 20 tokens a parameter (Chinchilla)."),
    click.option("--tokens", callback=read_tokens, metavar="N", help="Train on this many tokens: 300M, 10B, 1.5T."),
    click.option("--samples", **_COUNT, help="Train on this many samples (images, sequences ...)."),
    click.option("--epochs", type=float, metavar="N", help="Train for this many passes over --dataset-size samples."),
    click.option("--dataset-size", **_COUNT, help="Samples of one epoch."),
    click.option("--steps", **_COUNT, help="Train for this many steps."),
    click.option(
        "--batch-size", "--global-batch-size", "global_batch_size", **SIZE, help="Global batch: samples of one step."
    ),
    click.option("--micro-batch-size", **SIZE, help="Samples a device takes at once; default: what fits."),
    click.option("--sequence-length", **SIZE, help="Tokens of one sample."),
    click.option("--compile", "compiled", is_flag=True, help="torch.compile instead of eager PyTorch."),
    click.option("--channels-last", is_flag=True, help="Images in channels last (NHWC) on GPUs."),
    click.option(
        "--mfu", type=float, metavar="SHARE", callback=read_utilisation, help="Take this model FLOPs utilisation: 0.4."
    ),
)
