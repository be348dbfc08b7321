"""The ladder: symbolic tensors, fake CPU tensors, real CPU tensors; the first rung that the model can stand on.

Every rung runs the same code on another kind of tensor. `meta` is fastest and knows the kernels of any device. `fake`
helps where an operator has only a CPU kernel or a model insists on CPU tensors. `cpu` runs the model for real, with the
given data, where values decide what is computed; it is refused where that would take long or much memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hardware_db.errors import FlopcastError, ModelError
from profiles.records import Rung
from profiles.trace.factories import Factories
from profiles.trace.failures import explain
from profiles.trace.higher_order import flex_is_loaded
from profiles.trace.recorder import LARGEST_REAL_FLOPS
from profiles.trace.settings import StepSettings
from profiles.trace.step import Step, StepFailed, StepTrace, Tracing, trace_step
from profiles.trace.symbolic import Building
from profiles.trace.values import ValueNeeded, Values

MakeStep = Callable[["Ground"], Step]

LARGEST_REAL_BYTES = 1 << 30

_NO_GRADIENT = ("does not require grad and does not have a grad_fn", "Tensors does not require grad")
"""What torch says where a gradient is asked for that was not kept (torch/csrc/autograd)."""

SEED = 0
"""Of the random numbers that weights and inputs are made of where the model is run for real."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a rung stands on: device of its tensors, and the fake mode that makes them, if any."""

    device: Literal["meta", "cpu"]
    fake: FakeTensorMode | None = None

    @contextmanager
    def context(self) -> Iterator[None]:
        """Where tensors are made so that they lie on this ground."""
        with self.fake or nullcontext(), torch.device(self.device):
            yield

    @contextmanager
    def building(self) -> Iterator[None]:
        """Where a model is built; what it keeps as tensors made from numbers, such as strides, has values."""
        values = Values(strict=False)
        with self.context():
            if self.device != "meta":
                yield
                return
            with Factories(self.device, True, values), Building(values, self.device):
                yield


@dataclass(frozen=True, slots=True)
class Climb:
    """A trace, the rung it was made on and why not on a higher one ("" for the highest)."""

    trace: StepTrace
    rung: Rung
    reason: str = ""


def climb(make_step: MakeStep, settings: StepSettings, parameter_bytes: int) -> Climb:
    """Trace a step on the first rung that works.

    Parameters
    ----------
    make_step
        Builds model and inputs on the ground it is given; called once per rung.
    settings
        What is asked.
    parameter_bytes
        Size of the model; a large one is never run for real.

    Raises
    ------
    ModelError
        If the model runs on no rung; the message has the reason of the first failure.
    """
    try:
        best = Climb(trace_on("meta", make_step, settings), "meta")
    except StepFailed as failure:  # whatever a model raises is a reason to try the next rung
        return _descend(make_step, settings, parameter_bytes, failure)
    if not best.trace.guesses:
        return best
    return _for_real(make_step, settings, best, parameter_bytes)


def trace_on(rung: Rung, make_step: MakeStep, settings: StepSettings, strict: bool = True) -> StepTrace:
    """Trace a step on one rung, whatever happens; weights and inputs that are made up are so from the same seed."""
    ground = Ground("meta" if rung == "meta" else "cpu", fake_mode() if rung == "fake" else None)
    prepared = flex_is_loaded()
    with _no_log_of_fake_tensors(), torch.random.fork_rng(devices=[]):
        tracing = Tracing(ground.device, ground.fake, strict)
        try:
            return trace_step(_made(make_step, ground), settings, tracing)
        except StepFailed as failure:
            if flex_is_loaded() and not prepared:  # the model imported it while it ran
                return trace_on(rung, make_step, settings, strict)
            if settings.mode != "forward" or not _misses_gradients(failure.error):
                raise
        return trace_step(replace(_made(make_step, ground), differentiates=True), settings, tracing)


def _made(make_step: MakeStep, ground: Ground) -> Step:
    torch.default_generator.manual_seed(SEED)
    try:
        return make_step(ground)
    except StepFailed:
        raise  # a part of the model was traced to learn what the whole is fed
    except Exception as error:
        raise StepFailed(error) from error


def _misses_gradients(error: Exception) -> bool:
    """Whether a model failed because it asks for gradients where none are kept."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_GRADIENT)


def fake_mode() -> FakeTensorMode:
    """Return a mode whose tensors refuse to tell where their data lies: compiled code that asks would write there."""
    mode = FakeTensorMode()
    mode._allow_unsafe_data_ptr_access = False
    return mode


@contextmanager
def _no_log_of_fake_tensors() -> Iterator[None]:
    """Torch logs the traceback of what a model raises on fake tensors; here that is an answer, not an incident."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _for_real(
    make_step: MakeStep, settings: StepSettings, guessed: Climb, parameter_bytes: int, reason: str = ""
) -> Climb:
    """Replace a trace with guesses by a real run, if that is small enough; `reason` is why it was not whole before."""
    asked = _listed(guessed.trace.guesses) or reason
    flops = sum(operation.flops for operation in guessed.trace.operations)
    if parameter_bytes > LARGEST_REAL_BYTES or flops > LARGEST_REAL_FLOPS:
        return replace(guessed, reason=f"values that decide were guessed, the model is too large to run: {asked}")
    try:
        real = trace_on("cpu", make_step, settings)
        return Climb(real, "cpu", reason or f"values decide what is computed: {asked}")
    except Exception as error:
        return replace(
            guessed, reason=f"values that decide were guessed: {asked}; a real run failed: {_first_line(error)}"
        )


def _descend(make_step: MakeStep, settings: StepSettings, parameter_bytes: int, failed: StepFailed) -> Climb:
    first = failed.error
    if isinstance(first, FlopcastError) and not (failed.guesses and isinstance(first, ModelError)):
        raise first
    reason = _first_line(first)
    rungs: list[tuple[Rung, bool]] = [] if isinstance(first, ValueNeeded) else [("fake", True)]
    rungs += [("meta", False)] if isinstance(first, ValueNeeded) else []  # says how much a real run would compute
    rungs += [("cpu", True)] if parameter_bytes <= LARGEST_REAL_BYTES else []
    if failed.guesses and not isinstance(first, ValueNeeded):  # a wrong guess may be what it failed of
        rungs, reason = rungs[::-1], f"values decide what is computed: {_listed(failed.guesses)}"
    for rung, strict in rungs:
        try:
            found = Climb(trace_on(rung, make_step, settings, strict), rung, reason)
            first_guess = rung != "cpu" and (not strict or (found.trace.guesses and not failed.guesses))
            why = "" if strict else reason
            return _for_real(make_step, settings, found, parameter_bytes, why) if first_guess else found
        except StepFailed as failure:  # the first reason is the one that is reported
            first.add_note(f"{rung}: {_first_line(failure.error)}")
            if rung == "cpu" and isinstance(first, ValueNeeded):  # which only says that the model must be run for real
                failed = failure
    if isinstance(first, FlopcastError):
        guessed = f"Values that decide what is computed were guessed: {_listed(failed.guesses)}"
        raise ModelError(f"{first}\n{guessed}") from first
    raise ModelError(explain(failed.scene, _first_line(failed.error))) from first


def _listed(guesses: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in guesses.items())


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0]
    return line if isinstance(error, ValueNeeded) else f"{type(error).__name__}: {line}"


def bytes_of(model: torch.nn.Module) -> int:
    """Bytes of all parameters and buffers, tied ones once."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}.values()
    return sum(t.numel() * t.element_size() for t in tensors if not isinstance(t, torch.nn.UninitializedParameter))
