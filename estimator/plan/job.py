"""What is to be planned: a model, a batch, and devices of one kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from estimator.parallel.asked import ANYTHING, AskedSplit
from estimator.parallel.costs import Setting
from estimator.parallel.layout import layout_of
from estimator.parallel.routing import USUAL, Routing
from estimator.parallel.stack import usual_stack
from estimator.parallel.stages import edges_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.network import Network
    from estimator.parallel.stack import Stack
    from estimator.parallel.stages import Edges
    from hardware_db import Device
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True)
class Job:
    """One training step to be split.

    Attributes
    ----------
    profile
        a training step of the model; must hold for other batch sizes than its own
    device, network, stack
        what computes, what joins it, and the software that runs it
    count
        devices, as the framework counts them: cores of a TPU v3, dies of an MI250X
    global_batch_size
        samples of one step
    asked
        what was asked for of the split: nothing else is searched
    routing
        how tokens go to experts
    data_samples_per_s
        what the data loaders of the whole job bring; None: no step waits for data
    """

    profile: ModelProfile
    device: Device
    network: Network
    stack: Stack
    count: int
    global_batch_size: int
    asked: AskedSplit = ANYTHING
    routing: Routing = USUAL
    data_samples_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.capacity_bytes <= 0:
            raise UsageError(
                f"no memory of {self.device.id} is known: nobody can say what fits. Give it (plan: --memory 384GB)"
            )

    @cached_property
    def equal_layers(self) -> int:
        """Number of layers of a model whose layers are all alike; 0 for others."""
        blocks = layout_of(self.profile).blocks
        return blocks.count if blocks.uniform else 0

    @cached_property
    def edges(self) -> Edges:
        """What comes before and after the layers, in layers."""
        return edges_of(self.profile)

    @cached_property
    def setting(self) -> Setting:
        """Where and how the step runs."""
        return Setting(self.device, self.network, self.stack, routing=self.routing)

    @property
    def data_s(self) -> float:
        """Seconds until the data of one step are there; 0 where no step waits for them."""
        return self.global_batch_size / self.data_samples_per_s if self.data_samples_per_s else 0.0

    @property
    def capacity_bytes(self) -> float:
        """Memory of one device; 0 where unknown."""
        return float(self.device.usable_memory_bytes or 0)

    def at(self, micro_batch_size: int) -> ModelProfile:
        """Return the profile of one micro-batch."""
        return _at(self.profile, micro_batch_size)

    def on(self, devices: int) -> Job:
        """Return the same job on another number of whole devices: chips, packages, cards."""
        return replace(self, count=devices * self.network.parts)


@lru_cache(maxsize=256)
def _at(profile: ModelProfile, micro_batch_size: int) -> ModelProfile:
    return profile.at(batch_size=micro_batch_size)


def stack_for(profile: ModelProfile, device: Device) -> Stack:
    """Return the software that such a job is usually run with: XLA, Megatron for transformers, else PyTorch."""
    return usual_stack(device, layout_of(profile).divisible)
