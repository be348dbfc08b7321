"""The run as the sidebar edits it and the URL holds it: one frozen value, the same on every page.

Widgets are bound to query parameters, so a link, a reload and the back button restore them. A value in a link that
no widget accepts is dropped by the framework in silence; `ignored_parameters` names it instead.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from estimator import TrainingRun
from hardware_db.errors import UsageError
from hardware_db.units import parse_count, parse_precision
from profiles.model_profile import ModelProfile

AUTO: Final = "auto"
AUTO_ORDER: Final = ("amp_bfloat16", "amp_float16", "float32")
PRECISIONS: Final = (AUTO, "amp_bfloat16", "amp_float16", "bfloat16", "float32", "tf32")
AMOUNTS: Final = ("tokens", "samples", "steps")
PRICINGS: Final = ("on_demand", "spot")


@dataclass(frozen=True, slots=True)
class RunChoice:
    """What the sidebar says.

    `sequence_length` is None for the model's own; `precision` "auto" takes the best that a device has.
    """

    model: str
    amount_kind: str
    amount: str
    batch_size: int
    sequence_length: int | None = None
    precision: str = AUTO

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions to try, in order of preference."""
        return AUTO_ORDER if self.precision == AUTO else (parse_precision(self.precision),)

    def run(self, profile: ModelProfile) -> TrainingRun:
        """Return the training run for a profile of one precision.

        Raises
        ------
        FlopcastError
            amounts or sizes that cannot be
        """
        if self.amount_kind not in AMOUNTS:
            raise UsageError(f"No amount of work '{self.amount_kind}'. Known: {', '.join(AMOUNTS)}")
        amount = parse_count(self.amount)
        work: dict[str, Any] = {self.amount_kind: int(amount) if self.amount_kind == "steps" else amount}
        return TrainingRun(profile, global_batch_size=self.batch_size, sequence_length=self.sequence_length, **work)

    def command(self, extra: Sequence[str] = ()) -> str:
        """Return the same question as a command line."""
        words = ["flopcast", "estimate", self.model, f"--{self.amount_kind}", self.amount]
        words += ["--batch-size", str(self.batch_size)]
        if self.sequence_length:
            words += ["--sequence-length", str(self.sequence_length)]
        if self.precision != AUTO:
            words += ["--precision", self.precision]
        return shlex.join([*words, *extra])


def ignored_parameters(query: Mapping[str, str], allowed: Mapping[str, Sequence[str] | None]) -> list[str]:
    """Say which values of a link cannot be taken.

    Parameters
    ----------
    query
        the link's parameters
    allowed
        parameter -> values it can take; None for free text

    Examples
    --------
    >>> ignored_parameters({"model": "nonsense"}, {"model": ["gpt2"]})
    ["This link asks for model 'nonsense', which is not known here; known: gpt2."]
    """
    said = []
    for name, value in query.items():
        values = allowed.get(name)
        if values is not None and value not in values:
            known = ", ".join(values[:6]) + (" ..." if len(values) > 6 else "")
            said.append(f"This link asks for {name} '{value}', which is not known here; known: {known}.")
    return said
