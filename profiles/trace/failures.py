"""Why a model could not be run, in words that name the module, what it was given and what it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from profiles.trace.calls import tensors_in
from profiles.trace.sources import line_of

SHOWN = 4
"""Inputs that a message lists."""

_NO_SCALAR = "grad can be implicitly created only for scalar outputs"
_TAKES = (
    (nn.Linear, "features", "in_features"),
    (nn.Conv1d | nn.Conv2d | nn.Conv3d, "channels", "in_channels"),
    (nn.LSTM | nn.GRU | nn.RNN, "features", "input_size"),
)
"""Kind of module -> what its input has a fixed number of, and the attribute that says how many."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a run failed.

    module   path of the module that raised, "" for the model itself or its loss
    inputs   what the model was given: "float32[8, 512]"
    takes    what the module's input must have: "784 features"; "" where that is not known
    ids      whether the module looks up rows by integer ids and the model was given no integers
    line     of the model's code, "mine.py:29"; "" where none called what failed
    """

    module: str = ""
    inputs: tuple[str, ...] = ()
    takes: str = ""
    ids: bool = False
    line: str = ""


def scene_of(model: nn.Module, inputs: Any, module: str, error: BaseException) -> Scene:
    """Note what is known about an error inside `module` of `model`, which was called with `inputs`."""
    tensors, line = list(tensors_in(inputs)), line_of(error)
    try:
        failed = model.get_submodule(module)
    except AttributeError:
        return Scene(module, _shown(tensors), line=line)
    integers = any(not t.is_floating_point() for t in tensors)
    ids = isinstance(failed, nn.Embedding | nn.EmbeddingBag) and not integers
    return Scene(module, _shown(tensors), _takes(failed), ids, line)


def explain(scene: Scene, reason: str) -> str:
    """Return the message: what failed where, what was given, what would work."""
    given = f"the model's input was {', '.join(scene.inputs)}"
    name = f"'{scene.module}'" if scene.module else "the model"
    if scene.ids and scene.inputs and "indices" in reason:
        return f"{name} is an embedding and needs integer ids; {given}. Use --input {_as_ids(scene.inputs[0])}"
    if _NO_SCALAR in reason:
        return "The loss is no scalar: a training step must give one number to minimise, for example loss.mean()"
    place = f"The model failed in {name}" if scene.module else "The model cannot be run"
    place += f" at {scene.line}" if scene.line else ""
    if not scene.inputs:
        return f"{place}: {reason}"
    takes = f"{name} takes {scene.takes}; " if scene.takes else ""
    return f"{place}: {reason}\n{takes}{given}. Give it another one (--input 8x3x224x224, --input int64:8x1024)"


def _takes(module: nn.Module) -> str:
    return next((f"{getattr(module, name)} {of}" for kind, of, name in _TAKES if isinstance(module, kind)), "")


def _shown(tensors: Iterable[torch.Tensor]) -> tuple[str, ...]:
    return tuple(f"{str(t.dtype).removeprefix('torch.')}{list(t.shape)}" for t in tensors)[:SHOWN]


def _as_ids(text: str) -> str:
    sizes = text.partition("[")[2].rstrip("]").split(", ")
    return f"int64:{'x'.join(sizes)}"
