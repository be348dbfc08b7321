"""What a device holds for a while of parameters and gradients that are divided over several (ZeRO 2, 3, FSDP2).

In the order of torch.distributed.fsdp (torch 2.13, _fully_shard/_fsdp_param_group.py), with each layer a group and all
that is outside of layers another one:

    parameters    those of the layer that runs, the gathered buffer of the next one, and the outer group's; where they
                  are not divided again after the forward pass (ZeRO 2), all of them until the backward pass is done
                  with a layer, and in the forward pass the gathered buffers of this layer and, while it is copied out
                  of, of the one before
    gradients     whole ones of the layer that runs, those of the one before, which are on their way (the input of their
                  reduce-scatter), and the outer group's from when they are there to the end
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.memory.blocks import block_names
from estimator.memory.moments import BACKWARD, FORWARD, OPTIMIZER, outline_of
from profiles.layers import split_path

if TYPE_CHECKING:
    from profiles.operation_trace import Recording

Floats = NDArray[np.float64]

GATHERED_LAYERS: Final = 2
"""Layers whose parameters are whole at once: the one that runs and the next."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Parameters of the largest layer and of all that is outside of layers, in numbers."""

    layer: int
    outer: int


@lru_cache(maxsize=64)
def groups_of(module_parameters: tuple[tuple[str, int], ...]) -> Groups:
    """Return the groups of parameters that are gathered at once; layers are those that the first index names."""
    layers: dict[str, float] = {}
    for path, size in module_parameters:
        names = block_names(path, 1)
        for name in names:
            layers[name] = layers.get(name, 0.0) + size / len(names)
    outer = sum(size for path, size in module_parameters if not split_path(path)[1])
    return Groups(round(max(layers.values(), default=0.0)), outer)


def gathered_parameters(recording: Recording, groups: Groups, moments: int) -> Floats:
    """Return (moments,) parameters that are whole on a device and not its own; none while the optimizer steps."""
    phases = np.append(outline_of(recording).phases, OPTIMIZER)[:moments]
    starts, last = _layers_back(recording)
    layers = np.full(moments, float(GATHERED_LAYERS * groups.layer))
    if len(starts):
        layers[starts[-1] :] = groups.layer  # no next one is gathered
        layers[last + 1 :] = 0.0
    whole: Floats = (layers + groups.outer) * (phases != OPTIMIZER)
    return whole


def kept_parameters(recording: Recording, groups: Groups, parameters: int, moments: int) -> Floats:
    """Return (moments,) parameters that are whole from the forward pass until a layer's backward pass is done."""
    phases = np.append(outline_of(recording).phases, OPTIMIZER)[:moments]
    starts, last = _layers_back(recording)
    left = np.full(moments, float(parameters))
    if len(starts):
        done = np.maximum(np.searchsorted(starts, np.arange(moments), side="right") - 1, 0)
        left = parameters - (parameters - groups.outer) * done / len(starts)
        left[last + 1 :] = float(groups.outer)
        forward = phases == FORWARD
        left += groups.layer * (forward * 1.0 + (forward & (np.arange(moments) <= _last_layer(recording))))
    whole: Floats = left * (phases != OPTIMIZER)
    return whole


def whole_gradients(recording: Recording, groups: Groups, there: Floats) -> Floats:
    """Return (moments,) gradients that are not divided yet; `there` are all that were made until each moment."""
    moments = len(there)
    back = np.append(outline_of(recording).phases, OPTIMIZER)[:moments] == BACKWARD
    starts, last = _layers_back(recording)
    if not len(starts):
        return np.where(back, np.minimum(there, float(2 * groups.layer + groups.outer)), 0.0)
    edges = there[[*starts, last]]
    made = np.append(np.diff(edges), 0.0)
    number = np.searchsorted(starts, np.arange(moments), side="right") - 1
    inside = number >= 0
    before = np.where(number > 0, made[number - 1], 0.0)
    layers = np.where(inside, np.minimum(there, edges[-1]) - edges[number] + before, 0.0)
    outer = np.where(inside, edges[0] + np.maximum(there - edges[-1], 0.0), there)
    whole: Floats = (layers + outer) * back
    return whole


@lru_cache(maxsize=64)
def _last_layer(recording: Recording) -> int:
    """Return the moment at which the forward pass reaches the last layer."""
    outline = outline_of(recording)
    first: dict[str, int] = {}
    for at in np.flatnonzero(outline.phases == FORWARD).tolist():
        for name in block_names(outline.modules[at], 1):
            first.setdefault(name, at)
    return max(first.values(), default=-1)


@lru_cache(maxsize=64)
def _layers_back(recording: Recording) -> tuple[NDArray[np.intp], int]:
    """Return the moments at which the backward pass reaches each layer, and the last one inside of any."""
    outline = outline_of(recording)
    seen: dict[str, int] = {}
    last = 0
    for at in np.flatnonzero(outline.phases == BACKWARD).tolist():
        names = block_names(outline.modules[at], 1)
        for name in names:
            seen.setdefault(name, at)
            last = at
    return np.array(sorted(set(seen.values())), dtype=np.intp), last
