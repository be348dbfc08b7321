"""From a model to its profile: trace one step on symbolic tensors and fold the calls into a record."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from hardware_db.errors import UsageError
from hardware_db.units import parse_precision
from profiles.model_profile import ModelProfile
from profiles.models.losses import MEAN_LOSS_NOTE, model_loss
from profiles.trace.rungs import Climb, Ground, bytes_of, climb
from profiles.trace.settings import Mode, OptimizerFactory, StepSettings
from profiles.trace.step import Loss, Step
from profiles.trace.twin import Twins
from profiles.trace_record import RawTrace, fold


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
    call = _Call(model, args if isinstance(args, tuple) else (args,), dict(kwargs or {}))
    settings = StepSettings(mode, parse_precision(precision), optimizer, device)
    result = climb(lambda ground: call.step(ground, settings), settings, bytes_of(model))
    return _profile(call, settings, result)


@dataclass(frozen=True, slots=True)
class _Call:
    """The user's module and what it is called with."""

    model: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    loss: Loss = model_loss

    def step(self, ground: Ground, settings: StepSettings) -> Step:
        """Twins of all of it on another ground."""
        twins = Twins(ground.device, settings.arithmetic.weights, ground.fake)
        model = twins.model(self.model)
        args, kwargs = twins.copy((self.args, self.kwargs))
        return Step(model, args, kwargs, self.loss)

    @property
    def batch_size(self) -> int:
        """First size of the first tensor that has one."""
        leaves = torch.utils._pytree.tree_leaves((self.args, self.kwargs))
        return next((int(t.shape[0]) for t in leaves if isinstance(t, torch.Tensor) and t.dim()), 1)


def _profile(call: _Call, settings: StepSettings, result: Climb) -> ModelProfile:
    parameters = {id(p): p for p in call.model.parameters()}.values()
    raw = RawTrace(result.trace.operations, result.trace.timeline, call.batch_size, None)
    training = settings.mode == "train"
    return ModelProfile(
        model=type(call.model).__name__,
        mode=settings.mode,
        precision=settings.precision,
        optimizer=_optimizer_name(settings) if training else None,
        device=settings.device,
        parameters=sum(p.numel() for p in parameters),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        trace=fold(raw),
        rung=result.rung,
        rung_reason=result.reason,
        notes=_notes(result, training),
        versions=versions(),
    )


def _optimizer_name(settings: StepSettings) -> str:
    chosen = settings.optimizer
    return chosen if isinstance(chosen, str) else getattr(chosen, "__name__", type(chosen).__name__)


def _notes(result: Climb, training: bool) -> tuple[str, ...]:
    notes = []
    if training:
        notes.append(MEAN_LOSS_NOTE)
    if result.rung == "meta" and (count := result.trace.guesses.total()):
        notes.append(f"guessed {count} branches or sizes that depend on values")
    if result.trace.balanced_choices:
        notes.append(f"choices among unknown scores are assumed balanced ({result.trace.balanced_choices} operations)")
    return tuple(notes)


def versions() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that decide what is traced."""
    found = []
    for package in ("flopcast", "torch", "transformers"):
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)
