"""The options that say which model, and how one step of it is run: shared by every command that takes a MODEL."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from estimator.cli import completion
from estimator.cli.progress import progress
from estimator.cli.quantities import read_as, read_size
from hardware_db.errors import DataError, UsageError

if TYPE_CHECKING:
    from estimator.cli.output import Output
    from profiles.model_profile import ModelProfile
    from profiles.models import InputSpec, ModelDefinition
    from profiles.request import ProfileRequest

SIZE: dict[str, Any] = {"type": str, "callback": read_size, "metavar": "N"}
ROWS: dict[str, Any] = {"type": click.IntRange(min=0), "metavar": "N"}
_OPTIONS: dict[str, Callable[[str], Any]] = {
    "sequence_length": lambda said: click.option("--sequence-length", **SIZE, help=said or "Tokens of one sample."),
    "image_size": lambda said: click.option("--image-size", **SIZE, help=said or "Pixels of a side of one image."),
    "precision": lambda said: click.option(
        "--precision",
        shell_complete=completion.precision,
        callback=read_as("precision"),
        help=said or "bf16, fp16, amp, float32; default: each its best.",
    ),
    "optimizer": lambda said: click.option(
        "--optimizer", shell_complete=completion.optimizer, help=said or "adamw (default), adam, sgd, sgd-momentum ..."
    ),
    "inputs": lambda said: click.option(
        "--input", "inputs", multiple=True, metavar="SHAPE", help=said or "What to feed it: 8x3x224x224, int64:8x1024."
    ),
}
"""Field of a `ModelQuestion` -> its option, with what is to be said of it."""
TRAINED = ("precision", "optimizer", "image_size", "inputs")
"""What a command asks of a training step whose length and batch the amount of work says."""
PROFILE_SUFFIXES = (".json", ".json.gz")


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """What is asked of a model; None: the model's own."""

    model: str
    mode: Literal["train", "forward"] | None = "train"
    precision: str | None = None
    optimizer: str | None = None
    device: str | None = None
    batch_size: int | None = None
    sequence_length: int | None = None
    image_size: int | None = None
    inputs: tuple[str, ...] = ()

    def definition(self) -> ModelDefinition:
        """Find the model that the text means."""
        from profiles.models import resolve

        return resolve(self.model, inputs=self.input_specs()).for_images(self.image_size)

    def input_specs(self) -> tuple[InputSpec, ...]:
        """Read what it is to be fed with instead of its own example inputs."""
        from profiles.models import parse_inputs

        return parse_inputs(self.inputs)

    def request(self) -> ProfileRequest:
        """Return size, mode, precision, optimizer and device as the profiler takes them."""
        from profiles.request import ProfileRequest

        names = [name for name in ProfileRequest.__dataclass_fields__ if getattr(self, name) is not None]
        return ProfileRequest(**{name: getattr(self, name) for name in names})


def model_options(*names: str, **said: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator that adds the options of these fields of a `ModelQuestion`; `said` replaces their help."""

    def add(command: Callable[..., int]) -> Callable[..., int]:
        for name in reversed(names):
            command = _OPTIONS[name](said.get(name, ""))(command)
        return command

    return add


def find_profile(question: ModelQuestion, output: Output, by_line: bool = False, to_save: bool = False) -> ModelProfile:
    """Return the profile of a saved file, one kept from an earlier question, or one made now (which needs torch).

    With `by_line` it is made now unless it is a saved one: what is kept does not know the lines of a library's code.
    With `to_save` it answers other image sizes too, which may take more traces.
    """
    path = profile_file(question.model)
    if path is None:
        from profiles import recall

        profile = recall.profile_for_images if to_save else recall.profile
        profile = recall.profile_by_line if by_line else profile
        with _aside(output.quiet), progress(f"Profiling {question.model}", output):
            return profile(question.model, question.request(), inputs=question.input_specs())
    from profiles.model_profile import ModelProfile

    saved = ModelProfile.load(path)
    _check_settings(question, saved)
    return saved.at(question.batch_size, question.sequence_length, question.image_size)


@contextlib.contextmanager
def _aside(quiet: bool) -> Iterator[None]:
    """Keep what a model prints out of the answer, and with `--quiet` its warnings away; progress opens inside of it."""
    silenced = logging.root.manager.disable
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\b")  # what torch tells whoever wrote the model
        if quiet:
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(silenced)


def profile_file(text: str) -> Path | None:
    """Return the file of a saved profile that a MODEL names, or None where it is another kind of MODEL.

    Raises
    ------
    DataError
        The file holds what `--json` printed.
    """
    path = Path(text)
    if not text.endswith(PROFILE_SUFFIXES) or not path.is_file():
        return None
    data = path.read_bytes()
    if b'"results"' in data and b'"command"' in data:
        raise DataError(f"{text} is what --json printed, not a profile. Save one: flopcast profile MODEL -o FILE")
    return None if path.suffix == ".json" and b'"recordings"' not in data else path


def _check_settings(question: ModelQuestion, saved: ModelProfile) -> None:
    """Refuse what a recorded profile cannot be turned into."""
    for name in ("precision", "optimizer", "device"):
        wanted, recorded = getattr(question, name), getattr(saved, name)
        if wanted is not None and wanted != recorded:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{question.model} was recorded with {option} {recorded}; {wanted} needs a new profile of the model"
            )
    if question.mode not in (None, saved.mode):
        raise UsageError(f"{question.model} was recorded in mode {saved.mode}; {question.mode} needs a new profile")
    if question.inputs:
        raise UsageError("--input cannot change a saved profile; profile the model anew")
