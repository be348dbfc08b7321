"""Bytes of the training state: parameters, gradients and optimizer states; other optimizers and adapters too."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from estimator.memory.moments import ACTIVATION, BACKWARD, GRADIENT, OPTIMIZER, moments_of
from estimator.memory.settings import MemorySettings
from hardware_db.errors import UsageError
from profiles.layers import layer_count, split_path

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

BITS: Final = 8
ADAPTER_BYTES: Final = 4
"""Adapters are kept in float32 (peft, autocast_adapter_dtype=True)."""

LARGE_BLOCK: Final = 1024**2
"""Tensors above 1 MiB lie in the allocator's large blocks (c10/cuda/CUDACachingAllocator.cpp, kSmallSize)."""


_NUMBERS: Final = ("states", "fixed_bytes", "temporaries", "largest", "outside")


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What an optimizer holds for each trained parameter.

    Attributes
    ----------
    states
        tensors of the parameter's size and type
    fixed_bytes
        bytes whatever the type
    temporaries
        tensors of the size of ALL trained parameters that live during its step
    largest
        tensors of the size of the largest parameter that live during its step, where it goes one by one
    outside
        states more for a parameter outside of repeated layers (Muon leaves embeddings and heads to AdamW)
    on_host
        whether its states lie in host memory
    traced
        whether a step with it can be recorded; else it is worked out from a recording with another one
    """

    states: float
    fixed_bytes: float
    temporaries: float
    largest: float
    outside: float
    on_host: bool
    traced: bool
    source: str


@cache
def optimizers() -> dict[str, Optimizer]:
    """Return what is known of optimizers, by name."""
    with (files("estimator.memory") / "optimizers.csv").open(encoding="utf-8") as file:
        return {row["name"]: _optimizer(row) for row in csv.DictReader(file)}


def _optimizer(row: dict[str, str]) -> Optimizer:
    states, fixed, temporaries, largest, outside = (float(row[name]) for name in _NUMBERS)
    on_host, traced = row["where"] == "host", row["traced"] == "yes"
    return Optimizer(states, fixed, temporaries, largest, outside, on_host, traced, row["source"])


def optimizer(name: str) -> Optimizer:
    """Return what an optimizer holds.

    Raises
    ------
    UsageError
        No optimizer has this name.
    """
    if name not in optimizers():
        raise UsageError(f"No optimizer is called {name!r}. Known: {', '.join(optimizers())}")
    return optimizers()[name]


@dataclass(frozen=True, slots=True)
class State:
    """Bytes that live through the whole step, before they are divided over devices.

    Attributes
    ----------
    parameters, gradients, optimizer
        all of them; gradients in the parameters' own type, as torch keeps them
    temporaries
        of the optimizer's step
    tensors
        large tensors among parameters and optimizer states
    optimizer_on_host
        whether the optimizer's states lie in host memory
    """

    parameters: int
    gradients: int
    optimizer: int
    temporaries: int
    tensors: int
    optimizer_on_host: bool = False


def state_of(profile: ModelProfile, settings: MemorySettings) -> State:
    """Return the state of a training step.

    Raises
    ------
    UsageError
        Adapters are asked for and the model has no linear layers in its blocks, or the optimizer is unknown.
    """
    whole = profile.memory.parameter_bytes
    if settings.lora_rank is not None:
        return _adapted(profile, settings, whole)
    trained, made = trained_bytes(profile, whole), made_bytes(profile)
    if settings.optimizer in (None, profile.optimizer):
        tensors = large_tensors(profile, recorded_states(profile, trained))
        return State(whole, made, profile.memory.optimizer_state_bytes, 0, tensors)
    chosen = optimizer(settings.optimizer or "")
    held = _held(chosen, profile, trained, profile.trainable_parameters)
    one = _largest_parameter(profile.module_parameters) * whole / max(profile.parameters, 1)
    temporaries = round(chosen.temporaries * trained + chosen.largest * one)
    return State(whole, made, held, temporaries, large_tensors(profile, chosen.states), chosen.on_host)


def trained_bytes(profile: ModelProfile, parameter_bytes: int) -> int:
    """Return the bytes of the trained parameters, which those of all gradients equal."""
    if not profile.parameters:
        return 0
    return round(parameter_bytes * profile.trainable_parameters / profile.parameters)


def made_bytes(profile: ModelProfile) -> int:
    """Return the bytes of all gradients of the recorded step.

    They are less than those of the trained parameters where some take no part in the loss, or where gradients of
    embeddings are sparse. Where the optimizer's step allocates nothing, the last gradients are still activations in
    the last moment.
    """
    trained, moments = trained_bytes(profile, profile.memory.parameter_bytes), moments_of(profile)
    seen = int(moments.live[:, GRADIENT].max(initial=0))
    if OPTIMIZER not in moments.outline.phases:
        back = moments.live[moments.outline.phases == BACKWARD]
        seen += int(back[-1, ACTIVATION]) if len(back) else 0
    return min(trained, seen)


def recorded_states(profile: ModelProfile, trained: int) -> float:
    """Return how many tensors of a parameter's size the recorded optimizer holds for each."""
    return profile.memory.optimizer_state_bytes / trained if trained else 0.0


def _held(chosen: Optimizer, profile: ModelProfile, trained: int, number: int) -> int:
    held = chosen.states * trained + chosen.fixed_bytes * number
    if chosen.source.startswith("torch.optim.Adafactor"):
        held += ADAPTER_BYTES * _rows_and_columns(profile)
    if chosen.outside:
        held += chosen.outside * trained * (1 - layer_parameters(profile) / max(profile.parameters, 1))
    return round(held)


def _rows_and_columns(profile: ModelProfile) -> float:
    """Sum of rows and columns of all weights, taken as matrices of 1 by 4 (2.5 times the root of their size)."""
    return sum(2.5 * math.sqrt(size * layer_count(path)) for path, size in profile.module_parameters if size)


def large_tensors(profile: ModelProfile, states: float) -> int:
    """Return how many tensors above 1 MiB parameters and states are; a module's weights count as one tensor."""
    each = profile.memory.parameter_bytes / max(profile.parameters, 1)
    return round(_large(profile.module_parameters, LARGE_BLOCK / each) * (1 + states)) if each else 0


@lru_cache(maxsize=64)
def _largest_parameter(module_parameters: tuple[tuple[str, int], ...]) -> float:
    """Return the numbers in the largest parameter; a module's weights count as one."""
    return max((size / layer_count(path) for path, size in module_parameters), default=0.0)


@lru_cache(maxsize=64)
def _large(module_parameters: tuple[tuple[str, int], ...], above: float) -> int:
    """Return how many modules own more than so many parameters."""
    counts = ((layer_count(path), size) for path, size in module_parameters)
    return sum(count for count, size in counts if size > above * count)


def _adapted(profile: ModelProfile, settings: MemorySettings, whole: int) -> State:
    sides = linear_sides(profile.trace.current, profile.module_parameters)
    frozen = layer_parameters(profile)
    if not sides:
        raise UsageError(f"{profile.model} has no linear layers in repeated blocks: adapters have nothing to adapt")
    number = sides * (settings.lora_rank or 0)
    chosen = optimizer(settings.optimizer or _known(profile.optimizer))
    adapters = number * ADAPTER_BYTES
    if settings.weight_bits is not None:
        whole -= round(frozen * (whole / profile.parameters - settings.weight_bits / BITS))
    held = round(chosen.states * adapters + chosen.fixed_bytes * number)
    temporaries = round(chosen.temporaries * adapters)
    return State(whole + adapters, adapters, held, temporaries, large_tensors(profile, 0), chosen.on_host)


def _known(name: str | None) -> str:
    return name if name in optimizers() else "adamw"


@lru_cache(maxsize=64)
def linear_sides(recording: Recording, module_parameters: tuple[tuple[str, int], ...]) -> int:
    """Return the sum of inputs and outputs of all linear layers inside repeated blocks: parameters for each rank."""
    owning = {split_path(path)[0] for path, size in module_parameters if size and split_path(path)[1]}
    sides: dict[str, int] = {}
    for operation in recording.operations:
        if operation.family == "matmul" and operation.phase == "forward" and split_path(operation.module)[0] in owning:
            dims = dict(operation.dims)
            sides[operation.module] = (dims["n"] + dims["k"]) * layer_count(operation.module)
    return sum(sides.values())


def layer_parameters(profile: ModelProfile) -> int:
    """Return the parameters inside repeated blocks."""
    return sum(size for path, size in profile.module_parameters if split_path(path)[1])
