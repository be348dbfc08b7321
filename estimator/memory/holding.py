"""What tensors one device holds at the peak of a step: the recorded moments, changed by how the step is run.

    at each moment: parameters + gradients + optimizer states + inputs and buffers + activations
    peak = the moment with the most

Parameters, gradients and states are divided over devices by ZeRO stage (Rajbhandari et al., 2020, arXiv:1910.02054);
activations are those that were recorded, less what checkpointing frees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimator.memory.attention import squared_activations
from estimator.memory.blocks import stack_of
from estimator.memory.checkpointing import freed_by, freed_by_compiler, kept_by_stack
from estimator.memory.eight_bit import eight_bit_bytes
from estimator.memory.loss import freed_by_chunks
from estimator.memory.moments import (
    ACTIVATION,
    BUFFER,
    FORWARD,
    GRADIENT,
    INPUT,
    OPTIMIZER,
    Moments,
    moments_of,
)
from estimator.memory.settings import MemorySettings
from estimator.memory.sharding import gathered_parameters, groups_of, kept_parameters, whole_gradients
from estimator.memory.states import State, made_bytes, state_of
from profiles.records import PHASES

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of tensors on one device at the peak, by what holds them, and what else follows from the step.

    Attributes
    ----------
    gathered_bytes
        parameters of other devices that are whole at the time (ZeRO 3)
    bucket_bytes
        copies of gradients on their way to other devices
    host_bytes
        states that lie in host memory
    phase, module
        when the peak is
    tensors
        tensors above 1 MiB that live through the step
    multiplying_threads
        threads that call the library of matrix products: the backward pass has its own
    convolves, communicates
        whether there are convolutions, and other devices
    cache_bytes
        keys and values kept while text is written
    copy_bytes
        8-bit copies of weights
    """

    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    activation_bytes: int
    input_and_buffer_bytes: int
    gathered_bytes: int
    bucket_bytes: int
    host_bytes: int
    phase: str
    module: str
    tensors: int
    multiplying_threads: int
    convolves: bool
    communicates: bool
    cache_bytes: int = 0
    copy_bytes: int = 0

    @property
    def live_bytes(self) -> int:
        """Bytes of tensors on the device."""
        state = self.copy_bytes + self.parameter_bytes + self.gradient_bytes + self.optimizer_state_bytes
        passing = self.activation_bytes + self.input_and_buffer_bytes + self.cache_bytes
        return state + passing + self.gathered_bytes + self.bucket_bytes


def held_at_peak(profile: ModelProfile, settings: MemorySettings) -> Held:
    """Return what one device holds at the peak of a step of the profile's size.

    Raises
    ------
    DataError
        The profile has no record of memory.
    UsageError
        The settings do not fit the model: checkpointing or adapters without repeated layers, an unknown optimizer.
    """
    moments, state = _setting(profile, settings)
    live = moments.live
    course = _course(profile, moments, state, settings)
    peak = int(course.total.argmax())
    training = moments.outline.phases.any()
    sharded, hosted = settings.divides_parameters, _on_host(state, settings)
    states = state.optimizer / settings.shards
    own, threads = work_of(profile.trace.current)
    return Held(
        parameter_bytes=round(state.parameters / (settings.shards if sharded else 1)),
        gradient_bytes=round(course.gradients[peak]),
        optimizer_state_bytes=0 if hosted else round(states),
        activation_bytes=round(course.activations[peak]),
        input_and_buffer_bytes=round(live[peak, INPUT] + live[peak, BUFFER]),
        gathered_bytes=round(course.gathered[peak]),
        bucket_bytes=state.gradients if settings.replicas > 1 and settings.zero_stage < 2 and training else 0,
        host_bytes=round(states) if hosted else 0,
        phase=PHASES[moments.outline.phases[peak]],
        module=moments.outline.modules[peak],
        tensors=round(state.tensors / (settings.shards if sharded else 1)),
        multiplying_threads=threads,
        convolves="convolution" in own,
        communicates=settings.replicas > 1,
        copy_bytes=round(_copies(profile, settings) / (settings.shards if sharded else 1)),
    )


def _copies(profile: ModelProfile, settings: MemorySettings) -> float:
    """Bytes of 8-bit copies of weights; frozen weights of fewer bits are not multiplied in 8."""
    return 0.0 if settings.weight_bits else eight_bit_bytes(profile) * _growth(profile, settings)


def course_of(profile: ModelProfile, settings: MemorySettings) -> Floats:
    """Return (moments,) bytes that change through the step; `held_at_peak` is at the most of them."""
    moments, state = _setting(profile, settings)
    return _course(profile, moments, state, settings).total


def _setting(profile: ModelProfile, settings: MemorySettings) -> tuple[Moments, State]:
    moments, state = _with_last(moments_of(profile), made_bytes(profile)), state_of(profile, settings)
    return moments, _deeper(state, _growth(profile, settings)) if settings.more_layers else state


@dataclass(frozen=True, eq=False)
class _Course:
    """(moments,) bytes on one device of what changes through a step."""

    gradients: Floats
    activations: Floats
    gathered: Floats

    @property
    def total(self) -> Floats:
        return self.gradients + self.activations + self.gathered


def _course(profile: ModelProfile, moments: Moments, state: State, settings: MemorySettings) -> _Course:
    live = moments.live.astype(np.float64)
    recording, groups = profile.trace.current, groups_of(profile.module_parameters)
    gradients, gathered = _gradients(live[:, GRADIENT], state, settings), np.zeros(len(live))
    if settings.divides_parameters:
        each, number = state.parameters / max(profile.parameters, 1), profile.parameters
        kept = kept_parameters(recording, groups, number, len(live)) if settings.gathers_once else None
        gathered = (gathered_parameters(recording, groups, len(live)) if kept is None else kept) * each
    if settings.shards > 1 and settings.zero_stage >= 2 and profile.trainable_parameters:
        number = profile.trainable_parameters
        there = live[:, GRADIENT] * (number / max(live[:, GRADIENT].max(), 1.0))
        gradients = gradients + whole_gradients(recording, groups, there) * (state.gradients / number)
    return _Course(gradients, _activations(profile, moments, live, gradients, state, settings), gathered)


def _with_last(moments: Moments, gradients: int) -> Moments:
    """Add the moment of the optimizer's step, which is not recorded where the step allocates nothing.

    All gradients are there then; in the last moment of the backward pass the last one is still an activation.
    """
    outline = moments.outline
    if not outline.phases.any() or outline.phases[-1] == OPTIMIZER:
        return moments
    last = type(outline)(outline.rows, np.append(outline.phases, OPTIMIZER), (*outline.modules, ""))
    numbers = np.append(np.arange(len(moments.live)), len(moments.live) - 1)
    live = moments.live[numbers]
    live[-1, GRADIENT] = max(gradients, int(moments.live[-1, GRADIENT]))
    left = int(moments.live[-1, [GRADIENT, ACTIVATION]].sum()) - int(live[-1, GRADIENT])  # nothing was made since
    least = int(moments.live[outline.phases > FORWARD, ACTIVATION].min())
    live[-1, ACTIVATION] = min(least, max(left, 0))
    return Moments(last, live)


def _gradients(recorded: Floats, state: State, settings: MemorySettings) -> Floats:
    """Bytes of gradients at each moment on one device."""
    if settings.optimizer_in_backward:
        return np.zeros_like(recorded)
    highest = recorded.max()
    now = recorded * (state.gradients / highest) if highest else recorded
    if settings.accumulates:
        now = np.full_like(recorded, float(state.gradients))
    return now / settings.shards if settings.zero_stage >= 2 else now


def _activations(
    profile: ModelProfile, moments: Moments, live: Floats, gradients: Floats, state: State, settings: MemorySettings
) -> Floats:
    """Bytes of activations and temporaries at each moment, after checkpointing and with the optimizer asked for."""
    found = live[:, ACTIVATION].copy()
    stepping = moments.outline.phases == OPTIMIZER
    if stepping.any():
        between = found[moments.outline.phases > FORWARD].min()
        own = settings.optimizer in (None, profile.optimizer) and settings.lora_rank is None
        recorded = (found[stepping] - between) * _growth(profile, settings)
        temporaries = recorded if own else np.full(stepping.sum(), float(state.temporaries))
        kept = 0.0 if _on_host(state, settings) or settings.optimizer_in_backward else 1 / settings.shards
        found[stepping] = between + temporaries * kept
    if settings.fused_attention:
        found = found - _with_end(squared_activations(profile), len(found))
    if settings.chunked_loss:
        found = found - freed_by_chunks(profile, moments.outline, found)
    freed = _freed(profile, settings, found + gradients)
    if settings.more_layers:
        share = settings.more_layers / max(layers_of(profile), 1)
        found = found + kept_by_stack(profile, len(found)) * share
        freed = freed * (1 + share)
    result: Floats = found - freed
    return result


def _with_end(values: Floats, moments: int) -> Floats:
    """Add the moment of an optimizer's step that was not recorded: nothing of the passes is alive then."""
    return np.append(values, np.zeros(moments - len(values)))


def _freed(profile: ModelProfile, settings: MemorySettings, live: Floats) -> Floats:
    """Bytes that checkpointing, offloading or compiling frees at each moment."""
    if not settings.recomputes and "activations" not in settings.offloaded:
        return freed_by_compiler(profile, len(live)) if settings.compiled else np.zeros(len(live))
    return freed_by(profile, settings, live).activations


def layers_of(profile: ModelProfile) -> int:
    """Return the layers of a model that is one stack of them; 0 where it is not."""
    blocks = stack_of(profile.trace.current)
    return len(blocks.names) if blocks else 0


def _growth(profile: ModelProfile, settings: MemorySettings) -> float:
    """Parameters with the layers asked for over those recorded."""
    layer = groups_of(profile.module_parameters).layer
    return 1 + settings.more_layers * layer / max(profile.parameters, 1)


def _deeper(state: State, factor: float) -> State:
    """Return the state of so many times the parameters."""
    names = ("parameters", "gradients", "optimizer", "temporaries", "tensors")
    return replace(state, **{name: round(getattr(state, name) * factor) for name in names})


def _on_host(state: State, settings: MemorySettings) -> bool:
    return state.optimizer_on_host or "optimizer" in settings.offloaded


@lru_cache(maxsize=64)
def work_of(recording: Recording) -> tuple[frozenset[str], int]:
    """Return the families of operations, and the number of threads that multiply matrices."""
    families = frozenset(operation.family for operation in recording.operations)
    phases = {op.phase for op in recording.operations if op.family in ("matmul", "rnn")}
    return families, len(phases - {"optimizer"})
