"""How one data-parallel replica runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimator.memory.settings import Checkpointing, MemorySettings
from estimator.memory.states import trained_bytes

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True, slots=True)
class Replica:
    """How one data-parallel replica runs: samples at a time, whether gradients wait for more, how many replicas.

    `zero_stage` and `checkpointing` are those of `MemorySettings`.
    """

    micro_batch_size: int
    accumulates: bool
    replicas: int
    zero_stage: int = 0
    checkpointing: Checkpointing = "none"


def settings_of(replica: Replica) -> MemorySettings:
    """Return what a data-parallel replica asks of memory."""
    return MemorySettings(
        checkpointing=replica.checkpointing,
        accumulates=replica.accumulates,
        replicas=replica.replicas,
        zero_stage=replica.zero_stage,
    )


def gradient_bytes(profile: ModelProfile, parameter_bytes: int) -> int:
    """Return the bytes of all gradients: trainable parameters in the parameters' own type (torch keeps them so)."""
    return trained_bytes(profile, parameter_bytes)
