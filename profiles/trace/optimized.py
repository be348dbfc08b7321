"""An optimizer's step seen once: it depends on the parameters and their gradients alone, not on batch or sequence.

A model is traced at many sizes to learn how its step grows. Its optimizer makes the same calls at all of them, so they
are written down again instead of being run.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from profiles.formulas import formula_of
from profiles.records import Operation
from profiles.trace.ledger import Ledger, Moment
from profiles.trace.settings import StepSettings

MOST_STEPS = 64


@dataclass(frozen=True, slots=True)
class Optimized:
    """One step of an optimizer.

    operations   its calls
    moments      its moments, counted and measured from the start of the step
    state_bytes  what its states take
    formulas     the formula of each operator that the costs came from
    """

    operations: tuple[Operation, ...]
    moments: tuple[Moment, ...]
    state_bytes: int
    formulas: tuple[tuple[str, object], ...]

    @classmethod
    def of(cls, operations: Sequence[Operation], ledger: Ledger, start: Start, state_bytes: int) -> Optimized:
        """Take what has been recorded since the start."""
        calls = tuple(operations[start.operations :])
        moments = tuple(
            moment._replace(
                after=moment.after - start.operations,
                live=tuple(now - before for now, before in zip(moment.live, start.live, strict=True)),
            )
            for moment in ledger.moments[start.moments :]
        )
        names = dict.fromkeys(call.operator for call in calls)
        return cls(calls, moments, state_bytes, tuple((name, formula_of(name)) for name in names))

    @property
    def current(self) -> bool:
        """Whether the formulas are still those that the costs came from."""
        return all(formula_of(name) is formula for name, formula in self.formulas)

    def repeat(self, operations: list[Operation], ledger: Ledger) -> None:
        """Write the step down once more."""
        start = Start.of(operations, ledger)
        operations.extend(self.operations)
        ledger.moments.extend(
            moment._replace(
                after=moment.after + start.operations,
                live=tuple(change + before for change, before in zip(moment.live, start.live, strict=True)),
            )
            for moment in self.moments
        )


@dataclass(frozen=True, slots=True)
class Start:
    """How much had been recorded, and what was alive, when a step began."""

    operations: int
    moments: int
    live: tuple[int, ...]

    @classmethod
    def of(cls, operations: Sequence[Operation], ledger: Ledger) -> Start:
        """Note where a trace stands now."""
        return cls(len(operations), len(ledger.moments), ledger.live())


def key_of(parameters: Sequence[torch.Tensor], settings: StepSettings) -> Hashable | None:
    """Equal for steps that make the same calls; None for one that has to be run: an optimizer of the user's own."""
    gradients = [parameter.grad for parameter in parameters]
    tensors = [tensor for tensor in (*parameters, *gradients) if tensor is not None]
    plain = all(tensor.layout is torch.strided and type(tensor) in _PLAIN for tensor in tensors)
    if not isinstance(settings.optimizer, str) or not plain or any(tensor.device.type != "meta" for tensor in tensors):
        return None
    layouts = tuple((tuple(tensor.shape), tensor.stride(), tensor.dtype) for tensor in tensors)
    return settings.optimizer, settings.precision, settings.device, layouts


_PLAIN = (torch.Tensor, torch.nn.Parameter)
SEEN: dict[Hashable, Optimized] = {}


def remember(key: Hashable | None, step: Optimized) -> None:
    """Keep a step for the next size."""
    if key is None:
        return
    if len(SEEN) >= MOST_STEPS:
        SEEN.clear()
    SEEN[key] = step
