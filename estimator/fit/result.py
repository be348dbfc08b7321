"""Whether a step fits a device, how large it can be, and what would make it fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from estimator.memory import HostNeed, MemoryNeed, MemorySettings, host_of
from estimator.ranges import Range

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True, slots=True)
class Way:
    """One or several changes to how a step is run.

    Attributes
    ----------
    changes
        what is changed, in words
    settings, profile
        how it is then run, and from which recording
    need
        what one device must hold then
    saved_bytes
        less than as it is
    time
        step time over that of the step as it is, at the same micro-batch: low, mid, high; None where it is unknown
    largest_micro_batch
        that fits then; None: not even the smallest
    notes
        what the reader should know
    """

    changes: tuple[str, ...]
    settings: MemorySettings
    profile: ModelProfile
    need: MemoryNeed
    saved_bytes: int
    time: Range | None
    largest_micro_batch: int | None
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether it more likely fits than not."""
        return self.need.likely_fits

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "changes": list(self.changes),
            **self.need.to_dict(),
            "saved_bytes": self.saved_bytes,
            "time_ratio": self.time.mid if self.time else None,
            "time_ratio_low": self.time.low if self.time else None,
            "time_ratio_high": self.time.high if self.time else None,
            "largest_micro_batch": self.largest_micro_batch,
            "checkpointed_blocks": dict(self.settings.checkpointed_blocks),
            "host_offloaded_bytes": host_of(self.profile, self.settings).offloaded_bytes,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, repr=False)
class Fit:
    """Whether a step fits.

    Attributes
    ----------
    profile, settings
        the step at the size asked for, and how it is run
    device, count
        the devices; each runs its own samples
    need
        what one device must hold, as it is
    host
        what its share of the host must hold, and disk
    largest_micro_batch, longest_sequence, most_layers
        that fit as it is; None: not even the smallest, or the model has no sequences or is no stack of layers
    ways
        changes that hold less, those that fit first, the fastest first
    notes
        what the reader should know
    """

    profile: ModelProfile
    settings: MemorySettings
    device: Device
    count: int
    need: MemoryNeed
    host: HostNeed
    largest_micro_batch: int | None
    longest_sequence: int | None
    most_layers: int | None
    ways: tuple[Way, ...]
    notes: tuple[str, ...] = ()

    @property
    def optimizer(self) -> str | None:
        """Its name; None for a forward pass."""
        return self.settings.optimizer or self.profile.optimizer

    @property
    def as_it_is(self) -> bool:
        """Whether it fits without a change."""
        return self.need.likely_fits

    @property
    def fits(self) -> bool:
        """Whether it fits as it is or in one of the ways."""
        return self.as_it_is or any(way.fits for way in self.ways)

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "model": self.profile.model,
            "device": self.device.id,
            "count": self.count,
            "micro_batch_size": self.profile.batch_size,
            "sequence_length": self.profile.sequence_length,
            "precision": self.profile.precision,
            "optimizer": self.optimizer,
            **self.need.to_dict(),
            "fits": self.fits,
            "fits_as_it_is": self.as_it_is,
            "capacity_bytes": self.need.capacity_bytes,
            "memory": self.need.parts,
            **self._beside_the_device(),
            "peak_phase": self.need.phase,
            "peak_module": self.need.module,
            "largest_micro_batch": self.largest_micro_batch,
            "longest_sequence": self.longest_sequence,
            "most_layers": self.most_layers,
            "ways": [way.to_dict() for way in self.ways],
            "notes": list(self.notes),
        }

    def _beside_the_device(self) -> dict[str, Any]:
        total = self.host.total
        return {
            "host_bytes": round(total.mid),
            "host_bytes_low": round(total.low),
            "host_bytes_high": round(total.high),
            "host_assumptions": list(self.host.assumptions),
            "checkpoint_bytes": self.host.checkpoint_bytes,
            "sample_bytes": self.host.sample_bytes,
        }

    def __repr__(self) -> str:
        from estimator.text.fits import fit_text

        return fit_text(self)
