"""What is to be trained: a profile, an amount of work and the sizes of one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from estimator.whole_run.overheads import Overheads
from hardware_db.errors import UsageError
from hardware_db.units import parse_precision

if TYPE_CHECKING:
    from estimator.parallel.asked import AskedSplit
    from profiles.model_profile import ModelProfile

AMOUNTS = ("tokens", "samples", "epochs", "steps")

DEFAULT_GLOBAL_BATCH_SIZE = 256
"""Samples per step where nothing is said: what BERT (Devlin et al., 2019: 256 sequences) and ResNet (He et al., 2016:
256 images) were trained with."""

MOST_SAMPLES = 1e18
"""A run of more samples is a slip of a unit: the largest published runs saw some 1e13 tokens."""

USUAL = Overheads()
"""What comes around the steps where nothing is said: predicted or assumed."""

NODE = 8
"""Devices of a common machine; a default batch divides over them."""


@dataclass(frozen=True)
class TrainingRun:
    """A training run: how much work, in which steps. Variations are cheap: `run.replace(tokens=1e12)`.

    Give exactly one of `tokens`, `samples`, `epochs` (with `dataset_size`) and `steps`.

    Parameters
    ----------
    profile
        what one training step of the model computes and holds (`profile_model(..., mode="train")`)
    tokens, samples, epochs, steps
        the amount of work; the last step is counted in full
    dataset_size
        samples of one epoch
    global_batch_size
        samples of one training step over all devices; default 256, or the multiple of the profile's batch next above
        where the profile holds for that batch only
    sequence_length
        tokens of one sample; default the profile's, None for models without a sequence
    precision, optimizer
        must be the profile's (operations and memory were recorded in them); default the profile's
    micro_batch_size
        samples that one device puts through at a time; default the largest that fits its memory
    compiled
        whether GPUs and CPUs run what `torch.compile` made instead of eager PyTorch; TPUs run a compiled graph anyway
    channels_last
        whether GPUs keep images in channels last (NHWC) instead of contiguous (NCHW); TPUs choose their own layout, and
        for CPUs nothing is known to differ
    mfu
        0 to 1: take this model FLOPs utilisation instead of a prediction
    split
        how the devices share a step (`estimator.parallel.asked.read_split`); None: copies of the model, their states
        divided or its layers split where they do not fit
    overheads
        what comes around the training steps (start-up, data, evaluation, checkpoints, failures); None: the steps alone

    Raises
    ------
    UsageError
        amounts that contradict or are missing, sizes that are not positive whole numbers, a profile without training

    Examples
    --------
    >>> run = TrainingRun(profile, tokens=1e9, global_batch_size=512, sequence_length=1024)
    >>> run.total_steps, run.replace(steps=10).total_tokens
    (1908, 5242880)
    """

    profile: ModelProfile
    tokens: float | None = None
    samples: float | None = None
    epochs: float | None = None
    steps: int | None = None
    dataset_size: int | None = None
    global_batch_size: int = None  # type: ignore[assignment]  # None asks for the default, filled in below
    sequence_length: int | None = None
    precision: str = None  # type: ignore[assignment]  # the profile's
    optimizer: str = None  # type: ignore[assignment]  # the profile's
    micro_batch_size: int | None = None
    compiled: bool = False
    channels_last: bool = False
    mfu: float | None = None
    split: AskedSplit | None = None
    overheads: Overheads | None = USUAL

    def __post_init__(self) -> None:
        _require_training(self.profile)
        self._fill("global_batch_size", default_global_batch_size(self.profile))
        self._fill("sequence_length", self.profile.sequence_length)
        self._fill("precision", self.profile.precision)
        self._fill("optimizer", self.profile.optimizer)
        object.__setattr__(self, "precision", parse_precision(self.precision))
        _check_sizes(self)
        _check_amount(self)
        _check_samples(self)
        _check_recorded(self)
        _check_mfu(self.mfu)

    def _fill(self, name: str, default: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, default)

    @property
    def total_samples(self) -> float:
        """Samples of the whole run."""
        if self.steps is not None:
            return self.steps * self.global_batch_size
        if self.samples is not None:
            return self.samples
        if self.epochs is not None:
            return self.epochs * (self.dataset_size or 0)
        return (self.tokens or 0) / (self.sequence_length or 1)

    @property
    def total_steps(self) -> int:
        """Training steps of the whole run; a last step that is not full takes as long as the others."""
        return self.steps or math.ceil(self.total_samples / self.global_batch_size)

    @property
    def total_tokens(self) -> float | None:
        """Tokens of the whole run; None for models without a sequence."""
        return None if self.sequence_length is None else self.total_samples * self.sequence_length

    def replace(self, **changes: Any) -> TrainingRun:
        """Return a run with these fields changed; a new amount of work takes the place of the old one."""
        if any(changes.get(name) is not None for name in AMOUNTS):
            changes = dict.fromkeys((*AMOUNTS, "dataset_size")) | changes
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the run in base units, as `--json` shows it."""
        fields = ("dataset_size", "global_batch_size", "sequence_length", "precision", "optimizer", "micro_batch_size")
        return {
            "model": self.profile.model,
            "parameters": self.profile.parameters,
            **{name: getattr(self, name) for name in (*AMOUNTS, *fields, "compiled", "channels_last", "mfu")},
            "split": None if self.split is None else str(self.split),
            "overheads": asdict(self.overheads) if self.overheads else None,
            "total_steps": self.total_steps,
            "total_samples": self.total_samples,
            "total_tokens": self.total_tokens,
        }


def batch_multiple(profile: ModelProfile) -> int:
    """Return the number whose multiples are the batch sizes that the profile holds for."""
    return profile.trace.recording.batch_multiple or profile.batch_size


def default_global_batch_size(profile: ModelProfile, counts: Sequence[int] = ()) -> int:
    """Return 256, or the next number that 8 devices, and each of `counts`, share in batches the profile holds for."""
    shared = math.lcm(NODE, *counts) * batch_multiple(profile)
    return math.ceil(DEFAULT_GLOBAL_BATCH_SIZE / shared) * shared


def _require_training(profile: ModelProfile) -> None:
    if profile.mode != "train":
        raise UsageError(
            f"The profile of {profile.model} is of the forward pass only; a training run needs the whole step.\n"
            'Profile it with mode="train" (without --inference).'
        )


def _check_sizes(run: TrainingRun) -> None:
    for name in (*AMOUNTS, "dataset_size", "global_batch_size", "sequence_length", "micro_batch_size"):
        value = getattr(run, name)
        whole = name not in ("epochs", "tokens", "samples")
        if value is None:
            continue
        if not value > 0 or math.isinf(value) or (whole and value != int(value)):
            kind = "a positive whole number" if whole else "a positive number"
            raise UsageError(f"{name} must be {kind}; given: {value}")


def _check_amount(run: TrainingRun) -> None:
    given = [name for name in AMOUNTS if getattr(run, name) is not None]
    if len(given) != 1:
        stated = f"given: {', '.join(given)}" if given else "none is given"
        raise UsageError(f"Give exactly one of tokens, samples, epochs (with dataset size) and steps; {stated}.")
    if (run.epochs is None) != (run.dataset_size is None):
        raise UsageError("epochs and the dataset size (samples of one epoch) go together: give both or neither.")
    if run.tokens is not None:
        _check_tokens(run, run.tokens)


def _check_tokens(run: TrainingRun, tokens: float) -> None:
    if run.sequence_length is None:
        raise UsageError(f"{run.profile.model} has no sequence of tokens; give samples, epochs or steps instead.")
    if tokens < run.sequence_length:
        raise UsageError(
            f"tokens {tokens:g} is less than one sequence of {run.sequence_length:,} tokens. Did you mean {tokens:g}B?"
        )


def _check_samples(run: TrainingRun) -> None:
    samples = run.total_samples
    if samples > MOST_SAMPLES:
        raise UsageError(
            f"{samples:.2g} samples are more than any data holds (limit {MOST_SAMPLES:.0e}): check the unit"
        )


def _check_recorded(run: TrainingRun) -> None:
    for name in ("precision", "optimizer"):
        wanted, recorded = getattr(run, name), getattr(run.profile, name)
        if wanted != recorded:
            raise UsageError(
                f"The profile of {run.profile.model} was recorded with {name} {recorded}; the run asks for {wanted}.\n"
                f'Profile it so: profile_model(..., {name}="{wanted}"), or flopcast profile --{name} {wanted}'
            )


def _check_mfu(mfu: float | None) -> None:
    if mfu is not None and mfu > 1:
        raise UsageError(f"mfu {mfu:g} is above 1. Did you mean {mfu / 100:g}?")
    if mfu is not None and not mfu > 0:
        raise UsageError(f"mfu must be above 0 and at most 1; given: {mfu:g}")
