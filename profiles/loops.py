"""Steps of loops that are not the usual one: what is minimised is the sum of the logits, and outputs outlive the step.

In `outputs = model(**inputs)` at the top level of a loop, the name holds the outputs of the step before until the model
has returned new ones: both are alive at the end of the forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from profiles.model_profile import ModelProfile
from profiles.profiling import profile_of
from profiles.trace.calls import tensors_in
from profiles.trace.rungs import Ground, bytes_of, climb
from profiles.trace.settings import StepSettings
from profiles.trace.step import Step
from profiles.trace.twin import Twins
from profiles.trace_record import RawTrace, fold

OPTIMIZER = "sgd"
"""Such loops have none; plain SGD holds nothing."""


def profile_summing_loop(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, precision: str, device: str
) -> ModelProfile:
    """Profile one step of a loop that minimises the sum of the model's logits and keeps its outputs.

    Raises
    ------
    ModelError
        The model cannot be run.
    """
    settings = StepSettings("train", precision, OPTIMIZER, device)
    given = {name: value for name, value in kwargs.items() if name != "labels"}
    loop = _Loop(model, args, given)
    result = climb(lambda ground: loop.step(ground, settings), settings, bytes_of(model))
    raw = with_outputs(result.trace.raw(_batch_size(args, given)), loop.output_bytes)
    return profile_of(type(model).__name__, settings, result, fold(raw))


def with_outputs(raw: RawTrace, output_bytes: int) -> RawTrace:
    """Return the trace with so many bytes of older outputs alive through the forward pass."""
    moments = [
        replace(moment, activation_bytes=moment.activation_bytes + output_bytes)
        if moment.phase == "forward"
        else moment
        for moment in raw.timeline
    ]
    return replace(raw, timeline=moments)


class _Loop:
    def __init__(self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.model, self.args, self.kwargs = model, args, kwargs
        self.output_bytes = 0

    def step(self, ground: Ground, settings: StepSettings) -> Step:
        twins = Twins(ground.device, settings.arithmetic.weights, ground.fake)
        model = twins.model(self.model)
        args, kwargs = twins.copy((self.args, self.kwargs))
        model.train()
        return Step(model, args, kwargs, self._loss)

    def _loss(self, outputs: Any, _args: tuple[Any, ...], _kwargs: Mapping[str, Any]) -> torch.Tensor:
        leaves = tuple(outputs.values()) if isinstance(outputs, dict) else outputs
        storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors_in(leaves)}
        self.output_bytes = sum(storages.values())
        first = getattr(outputs, "logits", None)
        scores = next(iter(tensors_in(leaves))) if first is None else first
        return scores.sum()


def _batch_size(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    leaves = torch.utils._pytree.tree_leaves((args, dict(kwargs)))
    return next((int(t.shape[0]) for t in leaves if isinstance(t, torch.Tensor) and t.dim()), 1)
