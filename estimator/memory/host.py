"""What a step needs besides the device: memory of the host, and disk for checkpoints and for the data.

    host = process + states and activations that lie there + buffers of the data loader
    checkpoint = weights + optimizer states, as torch.save writes them
    data = samples x bytes of a sample as the model reads it

How many workers load the data is no property of a model: `WORKERS` is assumed unless given, and named wherever a figure
depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from estimator.memory.blocks import all_blocks, bytes_of
from estimator.memory.parameters import parameter
from estimator.memory.settings import MemorySettings
from estimator.memory.states import state_of
from estimator.ranges import Range
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

WORKERS: Final = 4
"""Processes that load data for one device: an assumption."""

PREFETCHED: Final = 2
"""Batches that each worker has ready (torch.utils.data.DataLoader, prefetch_factor)."""

PINNED: Final = 1
"""Batches in page-locked memory on their way to the device (DataLoader, pin_memory)."""


@dataclass(frozen=True, slots=True)
class HostNeed:
    """Memory of the host for one device, and disk.

    Attributes
    ----------
    process
        interpreter, libraries and driver of the process that drives the device
    offloaded_bytes
        optimizer states with gradients and weights, and activations, that lie in page-locked memory of the host
    loading
        workers of the data loader, and the batches they have ready
    checkpoint_bytes
        on disk: weights and optimizer states of the whole model
    sample_bytes
        one sample as the model reads it
    assumptions
        what was assumed, in words
    """

    process: Range
    offloaded_bytes: int
    loading: Range
    checkpoint_bytes: int
    sample_bytes: int
    assumptions: tuple[str, ...]

    @property
    def total(self) -> Range:
        """Memory of the host for one device: range of bytes."""
        return self.process + self.loading + Range.exactly(self.offloaded_bytes)


def host_of(
    profile: ModelProfile,
    settings: MemorySettings | None = None,
    device: Device | None = None,
    *,
    workers: int = WORKERS,
) -> HostNeed:
    """Return what one device's share of a host must hold, and what a checkpoint takes on disk.

    Parameters
    ----------
    profile
        a step at the size of a micro-batch
    settings
        how it is run
    device
        what it runs on: the process of a CUDA device holds the driver's libraries too; default a GPU
    workers
        processes that load data for the device

    Raises
    ------
    UsageError
        workers below 0, or settings that do not suit the model
    """
    if workers < 0:
        raise UsageError(f"workers must be 0 or more; given: {workers}")
    settings = settings or MemorySettings()
    scopes = ("gpu",) if device is None else (device.architecture, device.vendor, device.kind)
    batch = profile.memory.input_bytes
    ready = workers * PREFETCHED * batch + PINNED * batch
    loading = parameter("loader_worker", scopes).value * workers + Range.exactly(ready)
    said = f"{workers} data loader workers a device, {PREFETCHED} batches each"
    return HostNeed(
        process=parameter("host_process", scopes).value,
        offloaded_bytes=_offloaded(profile, settings),
        loading=loading,
        checkpoint_bytes=checkpoint_bytes(profile, settings),
        sample_bytes=-(-batch // profile.batch_size),
        assumptions=(said,),
    )


def checkpoint_bytes(profile: ModelProfile, settings: MemorySettings | None = None) -> int:
    """Return the bytes of one checkpoint: what is trained, with its optimizer states; of adapters only these.

    Raises
    ------
    UsageError
        The optimizer is unknown, or adapters do not suit the model.
    """
    settings = settings or MemorySettings()
    state = state_of(profile, settings)
    weights = state.gradients if settings.lora_rank is not None else state.parameters
    return weights + (state.optimizer if profile.mode == "train" else 0)


def dataset_bytes(profile: ModelProfile, samples: float) -> int:
    """Return the bytes of so many samples, stored as the model reads them (a token in 8 bytes, a pixel in 4).

    Raises
    ------
    UsageError
        The number is not positive.
    """
    if not samples > 0:
        raise UsageError(f"samples must be a positive number; given: {samples}")
    return round(samples * profile.memory.input_bytes / profile.batch_size)


def _offloaded(profile: ModelProfile, settings: MemorySettings) -> int:
    state = state_of(profile, settings)
    held = 0
    if "optimizer" in settings.offloaded or state.optimizer_on_host:
        held += state.optimizer // settings.shards
    if "optimizer" in settings.offloaded:
        held += (state.gradients + state.parameters) // settings.shards
    if "activations" in settings.offloaded:
        held += max(
            (round(bytes_of(blocks, profile).kept.sum()) for blocks in all_blocks(profile.trace.current)), default=0
        )
    return held
