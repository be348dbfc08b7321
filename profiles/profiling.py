"""From a model to its profile: trace one step on symbolic tensors and fold the calls into a record."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from hardware_db.errors import UsageError
from hardware_db.units import parse_precision
from profiles.growing import grow
from profiles.layers import fold_paths, layer_count
from profiles.model_profile import ModelProfile
from profiles.models.definition import Sizes
from profiles.models.example_inputs import Example, example
from profiles.models.losses import MEAN_LOSS_NOTE, model_loss
from profiles.models.user_code import as_step
from profiles.sizes import Bounds
from profiles.thresholds import thresholds_of
from profiles.trace.rungs import Climb, Ground, bytes_of, climb, trace_on
from profiles.trace.settings import Mode, OptimizerFactory, StepSettings
from profiles.trace.step import Procedure, Step
from profiles.trace.twin import Twins, original
from profiles.trace_record import OperationTrace, RawTrace, fold

MOST_CALLS = 1_000
"""A step with more calls is not traced at a dozen sizes unasked; a model by its name is (`profiles.recall`)."""


def profile_model(
    model: torch.nn.Module,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    mode: Mode = "train",
    precision: str = "float32",
    optimizer: str | OptimizerFactory = "adamw",
    device: str = "cuda",
    step: Callable[..., Any] | None = None,
) -> ModelProfile:
    """Profile one step of any module, without its memory, without data and without the device.

    The module itself is neither run nor changed: a symbolic copy is. It may be on the CPU, on meta, compiled, frozen in
    parts or in training or evaluation state; what it would do in that state is what is counted.

    Parameters
    ----------
    model, args, kwargs
        The module and what it is called with: tensors, or anything that contains tensors; one tensor as `args` will do.
    mode
        "train": forward, loss, backward and optimizer step; "forward": inference without gradients.
    precision
        "float32", "tf32", "bfloat16", "float16", "amp_bfloat16", "amp_float16", "float8", "float64" or an alias.
    optimizer
        Name such as "adamw" or "sgd-momentum", or a function from parameters to a torch optimizer.
    device
        Kind of the device the step is meant for; decides which kernels are counted.
    step
        Your own training step: `step(model, *args, **kwargs)` returns the loss, or - for several optimizers, as in a
        GAN - is a generator that yields (loss, parameters) once for each. It may also call `loss.backward()` and
        `optimizer.step()` itself; `optimizer` is then counted in the place of its own.

    Returns
    -------
    ModelProfile
        One step at the size of the inputs. Where the model makes the same calls at other sizes of the first dimension
        (the batch) and of the second of two-dimensional integers (the sequence), it answers these too, else a note
        says why not.

    Raises
    ------
    ModelError, UsageError
        The model cannot be run with these inputs on any rung; mode, precision or optimizer is unknown.
    """
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"profile_model takes a torch.nn.Module; given: {type(model).__name__}")
    given = example((args if isinstance(args, tuple) else (args,), dict(kwargs or {})))
    settings = StepSettings(mode, parse_precision(precision), optimizer, device)
    return _profiled(_Call(original(model), given, None if step is None else as_step(step)), settings)


def _profiled(call: _Call, settings: StepSettings) -> ModelProfile:
    """Trace a call, make its record hold for other sizes where that can be proven, and say what it rests on."""
    result = climb(lambda ground: call.step(ground, settings), settings, bytes_of(call.model))
    trace, note = call.grown(result, settings)
    profile = profile_of(type(call.model).__name__, settings, result, trace)
    return replace(profile, notes=(*call.loss_note, *profile.notes, *note))


class _Call:
    """The user's module, what it is called with, and what its training minimises."""

    def __init__(self, model: torch.nn.Module, given: Example, procedure: Procedure | None) -> None:
        self.model, self.given, self.procedure = model, given, procedure
        self.loss_note: tuple[str, ...] = ()

    @property
    def sizes(self) -> Sizes:
        """Batch size and sequence length of the inputs."""
        return Sizes(self.given.batch_size, self.given.sequence_length, None)

    def grown(self, result: Climb, settings: StepSettings) -> tuple[OperationTrace, tuple[str, ...]]:
        """Return the trace for all sizes where few and small traces can prove it, and what it does not hold for."""
        raw = result.trace.raw(self.sizes.batch_size, self.sizes.sequence_length)
        if result.rung != "meta" or result.trace.guesses:
            return fold(raw), ()
        if (calls := len(raw.operations)) > MOST_CALLS:
            return fold(raw), (f"holds for this size only: a step of {calls:,} calls is traced once",)
        if result.trace.decided_sizes:
            return fold(raw), ("holds for this size only: values of the inputs decide how much is computed",)

        def trace_at(sizes: Sizes) -> RawTrace:
            trace = trace_on("meta", lambda ground: self.step(ground, settings, sizes), settings)
            return trace.raw(sizes.batch_size, sizes.sequence_length)

        trace, note = grow(raw, trace_at, self.sizes, Bounds(None, thresholds_of(self.model), own_code=True))
        return trace, (note,) if note else ()

    def step(self, ground: Ground, settings: StepSettings, sizes: Sizes | None = None) -> Step:
        """Twins of all of it on another ground, in training or evaluation state as the mode asks."""
        twins = Twins(ground.device, settings.arithmetic.weights, ground.fake)
        model = twins.model(self.model)
        inputs = self.given.arguments if sizes is None else self.given.at(sizes.batch_size, sizes.sequence_length)
        args, kwargs = twins.copy(inputs)
        _initialise(model, args, kwargs)
        if model.training != (settings.mode == "train"):
            model.train(settings.mode == "train")
        origins = twins.parameters(self.model)
        return Step(model, args, kwargs, self._loss, self.procedure, own_code=True, origins=origins)

    def _loss(self, outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        loss = model_loss(outputs, args, kwargs)
        leaves = torch.utils._pytree.tree_leaves(outputs)
        self.loss_note = () if any(leaf is loss for leaf in leaves) else (MEAN_LOSS_NOTE,)
        return loss


def _initialise(model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Let lazy modules see their inputs, whose shapes decide those of their parameters."""
    if any(isinstance(parameter, torch.nn.UninitializedParameter) for parameter in model.parameters()):
        with torch.no_grad():
            model(*args, **kwargs)


def profile_of(name: str, settings: StepSettings, result: Climb, trace: OperationTrace) -> ModelProfile:
    """Put together what was asked and what was seen."""
    parameters = result.trace.parameters
    return ModelProfile(
        model=name,
        mode=settings.mode,
        precision=settings.precision,
        optimizer=_optimizer_name(settings) if settings.mode == "train" else None,
        device=settings.device,
        parameters=parameters.total,
        trainable_parameters=parameters.trainable,
        module_parameters=_folded(parameters.by_module),
        trace=trace,
        rung=result.rung,
        rung_reason=result.reason,
        notes=tuple(_notes(settings, result)),
        versions=versions(),
    )


def _folded(by_module: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """Parameters by module, equal layers together: (folded path, parameters of all its layers)."""
    return tuple((path, each * layer_count(path)) for path, each in fold_paths(by_module))


def _optimizer_name(settings: StepSettings) -> str:
    chosen = settings.optimizer
    return chosen if isinstance(chosen, str) else getattr(chosen, "__name__", type(chosen).__name__)


def _notes(settings: StepSettings, result: Climb) -> list[str]:
    trace = result.trace
    notes = []
    if settings.mode == "train" and not trace.trained:
        notes.append("nothing to train: neither a parameter nor an input requires a gradient; forward pass only")
    if result.rung != "cpu" and (count := trace.guesses.total()):
        notes.append(f"guessed {count} branches or sizes that depend on values: questions answered no, sizes at most")
    if trace.own_optimizers:
        own, counted = ", ".join(trace.own_optimizers), _optimizer_name(settings)
        if own.casefold() != counted.casefold():
            notes.append(f"the step calls an optimizer of its own ({own}); {counted} is counted in its place")
    if trace.balanced_choices:
        notes.append("choices among unknown scores are assumed balanced")
    return notes


def versions() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that decide what is traced."""
    found = []
    for package in ("flopcast", "torch", "transformers"):
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)
