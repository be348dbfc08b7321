"""How many places of the text an image or a sound takes: found by running that part of the model, symbolically."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_GETTERS = {"image": "get_image_features", "audio": "get_audio_features"}


def count_features(model: torch.nn.Module, what: str, fed: dict[str, Any]) -> int:
    """Run the image or sound part on meta tensors and count its feature vectors, over the whole batch.

    0 where the model has no such part, or where none of its inputs is fed.
    """
    owner = next((m for m in (model, getattr(model, "model", None)) if hasattr(m, _GETTERS[what])), None)
    if owner is None:
        return 0
    parts = [part for part in (owner, getattr(owner, "model", None)) if hasattr(part, _GETTERS[what])]
    taken = {name for part in parts for name in inspect.signature(getattr(part, _GETTERS[what])).parameters}
    given = {name: value for name, value in fed.items() if name in taken}
    needed = {name for part in parts[-1:] for name in _required(getattr(part, _GETTERS[what]))}
    return _run(model, owner is model, what, given) if given and needed <= given.keys() else 0


def _required(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}


def _run(model: torch.nn.Module, on_top: bool, what: str, given: dict[str, Any]) -> int:
    from profiles.trace.settings import StepSettings
    from profiles.trace.step import Step, Tracing, trace_step
    from profiles.trace.twin import Twins

    twins = Twins("meta", None)
    probe = _probe()(twins.model(model), on_top, _GETTERS[what])
    settings = StepSettings(mode="forward")
    trace_step(Step(probe, (), twins.copy(given), _no_loss), settings, Tracing(strict=False))
    return int(probe.found)


def _no_loss(*arguments: Any) -> Any:
    raise AssertionError("a forward pass has no loss")


def _probe() -> Any:
    """Make the class (torch is imported only here): its forward calls the getter and counts what it returns."""
    import torch

    class Probe(torch.nn.Module):
        def __init__(self, model: torch.nn.Module, on_top: bool, getter: str) -> None:
            super().__init__()
            self.model, self.on_top, self.getter, self.found = model, on_top, getter, 0

        def forward(self, **given: Any) -> None:
            owner: Any = self.model if self.on_top else self.model.model
            self.found = _vectors(getattr(owner, self.getter)(**given))

    return Probe


def _vectors(outputs: Any) -> int:
    """Count vectors in what a getter returns: a tensor, a list of tensors, or an output object."""
    found = getattr(outputs, "pooler_output", None)
    if found is None:
        found = getattr(outputs, "last_hidden_state", outputs)
    if found is None:
        _, found = outputs.deepstack_features[0]  # for one layer of the text part; for others as many
    if isinstance(found, (list, tuple)):
        return sum(_vectors(part) for part in found)
    return int(found.numel() // found.shape[-1])
