"""The question as the sidebar edits it and the URL holds it: one frozen value, the same on every page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dashboard.commands import Word, command_line
from estimator import TrainingRun
from estimator.survey import Choice
from hardware_db.errors import QuantityError, UsageError
from hardware_db.units import parse_count, parse_precision
from profiles.model_profile import ModelProfile
from profiles.request import ProfileRequest

AUTO: Final = "auto"
AUTO_ORDER: Final = ("amp_bfloat16", "amp_float16", "float32")
PRECISIONS: Final = (AUTO, "amp_bfloat16", "amp_float16", "bfloat16", "float16", "float32", "tf32")
AMOUNTS: Final = ("tokens", "samples", "steps")
FEWEST_TOKENS: Final = 1000
"""A smaller number of tokens is a forgotten suffix, as on the command line."""


@dataclass(frozen=True, slots=True)
class RunChoice:
    """What is trained and how; None where the model's or the estimator's own default is taken.

    model       a name of the zoo, or of an uploaded profile
    precision   "auto" takes the best that a device has
    upload      file name of the uploaded profile, None for a name of the zoo
    """

    model: str
    amount_kind: str
    amount: str
    batch_size: int | None = None
    sequence_length: int | None = None
    precision: str = AUTO
    optimizer: str | None = None
    image_size: int | None = None
    micro_batch_size: int | None = None
    mfu: float | None = None
    upload: str | None = None

    @property
    def named(self) -> str:
        """The model as the command line takes it."""
        return self.upload or self.model

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions to try, in order of preference."""
        return AUTO_ORDER if self.precision == AUTO else (parse_precision(self.precision),)

    def requests(self) -> tuple[ProfileRequest, ...]:
        """Return the profiles that answer it, one a precision, as the command line asks for them."""
        sizes: dict[str, Any] = {"sequence_length": self.sequence_length, "image_size": self.image_size}
        if self.optimizer:
            sizes["optimizer"] = self.optimizer
        return tuple(ProfileRequest(precision=precision, **sizes) for precision in self.precisions)

    def run(self, profile: ModelProfile) -> TrainingRun:
        """Return the training run for a profile of one precision.

        Raises
        ------
        FlopcastError
            amounts or sizes that cannot be
        """
        return TrainingRun(
            profile,
            **{self.amount_kind: self._quantity()},  # type: ignore[arg-type]  # one of AMOUNTS
            global_batch_size=self.batch_size,  # type: ignore[arg-type]  # None asks for the default
            sequence_length=self.sequence_length,
            micro_batch_size=self.micro_batch_size,
            mfu=self.mfu,
        )

    def without_amount(self) -> RunChoice:
        """Return the same run of one step: what a step takes does not depend on how many there are."""
        return replace(self, amount_kind="steps", amount="1")

    def profile_command(self, profile: ModelProfile) -> str:
        """Return the command line that shows a profile of it."""
        asked = replace(self, precision=profile.precision)
        return command_line("profile", [self.named], [("--batch-size", profile.batch_size), *asked.model_words()])

    def _quantity(self) -> int:
        if self.amount_kind not in AMOUNTS:
            raise UsageError(f"No amount of work '{self.amount_kind}'. Known: {', '.join(AMOUNTS)}")
        number = parse_count(self.amount)
        if self.amount_kind == "tokens" and number < FEWEST_TOKENS:
            raise QuantityError(f"{self.amount} is {number} tokens. Did you mean {self.amount}B?")
        return number

    def words(self) -> list[Word]:
        """Return the options of the command line that say the same."""
        return [
            (f"--{self.amount_kind}", self.amount),
            ("--batch-size", self.batch_size),
            ("--micro-batch-size", self.micro_batch_size),
            *self.model_words(),
            ("--mfu", self.mfu),
        ]

    def model_words(self) -> list[Word]:
        """Return the options that say how one step is run: those of every command that takes a model."""
        return [
            ("--sequence-length", self.sequence_length),
            ("--image-size", self.image_size),
            ("--precision", None if self.precision == AUTO else self.precision),
            ("--optimizer", self.optimizer),
        ]


@dataclass(frozen=True, slots=True)
class Market:
    """Where it may run and how it is paid; None: everywhere."""

    pricing: str = "on_demand"
    hardware: str | None = None
    counts: tuple[int, ...] | None = None
    provider: str | None = None
    region: str | None = None
    all_offers: bool = False

    def choice(self) -> Choice:
        """Return it as the keyword arguments of `estimator.estimate_all`."""
        return {
            "devices": self.hardware,
            "counts": self.counts,
            "provider": self.provider,
            "region": self.region,
            "pricing": self.pricing,
            "all_offers": self.all_offers,
        }

    def words(self) -> list[Word]:
        """Return the options of the command line that say the same."""
        return [
            ("--hardware", self.hardware),
            ("--count", ",".join(map(str, self.counts)) if self.counts else None),
            ("--provider", self.provider),
            ("--region", self.region),
            ("--pricing", None if self.pricing == "on_demand" else self.pricing.replace("_", "-")),
            ("--all-offers", True if self.all_offers else None),
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """One run and where it may take place."""

    run: RunChoice
    market: Market = Market()

    @property
    def told(self) -> str:
        """The question in words: "Training gpt2 on 10B tokens, paid on-demand"."""
        run, market = self.run, self.market
        work = f"for {run.amount} steps" if run.amount_kind == "steps" else f"on {run.amount} {run.amount_kind}"
        return f"Training {run.named} {work}, paid {market.pricing.replace('_', '-')}"

    def command(self) -> str:
        """Return the same question as a command line, quoted for a shell."""
        return command_line("estimate", [self.run.named], [*self.run.words(), *self.market.words()])

    def step_command(self, device: str) -> str:
        """Return the command line that explains the run on one device, wherever it is rented."""
        words = [("--hardware", device), ("--explain", True)]
        return command_line("estimate", [self.run.named], [*self.run.words(), *words])


def parse_counts(text: str) -> tuple[int, ...]:
    """Read numbers of devices: "8" or "1,8,64"; each is kept once.

    Raises
    ------
    QuantityError
        there is something else than whole numbers above zero

    Examples
    --------
    >>> parse_counts("1, 8,8")
    (1, 8)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 0 < len(part) < 9 and int(part) for part in parts):
        raise QuantityError(f"Devices '{text}': give whole numbers above zero, for example 8 or 1,8,64")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_share(text: str) -> float:
    """Read a utilisation above 0 and up to 1.

    Raises
    ------
    QuantityError
        it is something else
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 < value <= 1:
        return value
    remedy = f"Did you mean {value / 100:g}?" if 1 < value <= 100 else "Give a number above 0 and up to 1"
    raise QuantityError(f"MFU '{text}' is no share. {remedy}")


def known_amounts(has_tokens: bool) -> Sequence[str]:
    """Return the units of work that a model has."""
    return AMOUNTS if has_tokens else AMOUNTS[1:]
