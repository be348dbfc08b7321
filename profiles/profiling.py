"""From a model to its profile: trace one step on symbolic tensors and fold the calls into a record."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from hardware_db.errors import UsageError
from hardware_db.units import parse_precision
from profiles.layers import fold_paths, layer_count
from profiles.model_profile import ModelProfile
from profiles.models.losses import MEAN_LOSS_NOTE, model_loss
from profiles.trace.rungs import Climb, Ground, bytes_of, climb
from profiles.trace.settings import Mode, OptimizerFactory, StepSettings
from profiles.trace.step import Step
from profiles.trace.twin import Twins, original
from profiles.trace_record import OperationTrace, fold


def profile_model(
    model: torch.nn.Module,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    mode: Mode = "train",
    precision: str = "float32",
    optimizer: str | OptimizerFactory = "adamw",
    device: str = "cuda",
) -> ModelProfile:
    """Profile one step of any module, without its memory, without data and without the device.

    The module itself is neither run nor changed: a symbolic copy is. It may be on the CPU, on meta, compiled, frozen in
    parts or in training or evaluation state; what it would do in that state is what is counted.

    Parameters
    ----------
    model
        The module.
    args, kwargs
        What it is called with: tensors, or anything that contains tensors. A single tensor may be given as `args`.
    mode
        "train": forward, loss, backward and optimizer step; "forward": inference without gradients.
    precision
        "float32", "tf32", "bfloat16", "float16", "amp_bfloat16", "amp_float16", "float8", "float64" or an alias.
    optimizer
        Name such as "adamw" or "sgd-momentum", or a function from parameters to a torch optimizer.
    device
        Kind of the device the step is meant for; decides which kernels are counted.

    Returns
    -------
    ModelProfile
        Operations, FLOPs, bytes and memory of one step at the size of the inputs.

    Raises
    ------
    ModelError
        If the model cannot be run with these inputs on any rung.
    UsageError
        If mode, precision or optimizer is unknown.
    """
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"profile_model takes a torch.nn.Module; given: {type(model).__name__}")
    call = _Call(original(model), args if isinstance(args, tuple) else (args,), dict(kwargs or {}))
    settings = StepSettings(mode, parse_precision(precision), optimizer, device)
    result = climb(lambda ground: call.step(ground, settings), settings, bytes_of(model))
    profile = profile_of(type(call.model).__name__, settings, result, fold(result.trace.raw(call.batch_size)))
    return replace(profile, notes=(call.loss_note, *profile.notes)) if call.loss_note else profile


class _Call:
    """The user's module, what it is called with, and what its training minimises."""

    def __init__(self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.model, self.args, self.kwargs = model, args, kwargs
        self.loss_note = ""

    def step(self, ground: Ground, settings: StepSettings) -> Step:
        """Twins of all of it on another ground, in training or evaluation state as the mode asks."""
        twins = Twins(ground.device, settings.arithmetic.weights, ground.fake)
        model = twins.model(self.model)
        args, kwargs = twins.copy((self.args, self.kwargs))
        _initialise(model, args, kwargs)
        if model.training != (settings.mode == "train"):
            model.train(settings.mode == "train")
        return Step(model, args, kwargs, self._loss)

    def _loss(self, outputs: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        loss = model_loss(outputs, args, kwargs)
        leaves = torch.utils._pytree.tree_leaves(outputs)
        self.loss_note = "" if any(leaf is loss for leaf in leaves) else MEAN_LOSS_NOTE
        return loss

    @property
    def batch_size(self) -> int:
        """First size of the first tensor that has one."""
        leaves = torch.utils._pytree.tree_leaves((self.args, self.kwargs))
        return next((int(t.shape[0]) for t in leaves if isinstance(t, torch.Tensor) and t.dim()), 1)


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
    if result.rung == "meta" and (count := trace.guesses.total()):
        notes.append(f"guessed {count} branches or sizes that depend on values")
    if trace.balanced_choices:
        notes.append(f"choices among unknown scores are assumed balanced ({trace.balanced_choices} operations)")
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
