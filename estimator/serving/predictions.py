"""Predictions of a model without memory of the past: one forward pass a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from estimator.memory import Held, MemorySettings, held_at_peak, need_of, overhead_of
from estimator.serving.few_bits import INT8
from estimator.serving.passes import Way, forward_pass
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.memory import MemoryNeed
    from estimator.ranges import Range
    from estimator.timing import Basis
    from hardware_db import Device, Offer
    from profiles.model_profile import ModelProfile

HOUR_S = 3600.0
EAGER = Way()
BITS_16 = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Serving:
    """Predictions on one device.

    Attributes
    ----------
    latency
        seconds of a batch
    need
        what the device must hold; `fits` says whether it does
    offer
        what is rented, None where nothing is
    usd_per_thousand
        predictions on one device of the offer, always busy [USD]
    precision
        in which it computes
    """

    device: Device
    batch_size: int
    latency: Range
    basis: Basis
    need: MemoryNeed
    offer: Offer | None
    usd_per_thousand: Range | None
    precision: str

    @property
    def per_s(self) -> float:
        """Predictions a second."""
        return self.batch_size / self.latency.mid

    @property
    def fits(self) -> bool | None:
        """Whether the memory suffices; None where it is unknown."""
        capacity = self.device.usable_memory_bytes
        return None if capacity is None else self.need.total_bytes <= capacity

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "device": self.device.id,
            "batch_size": self.batch_size,
            "latency_s": self.latency.mid,
            "latency_s_low": self.latency.low,
            "latency_s_high": self.latency.high,
            "predictions_per_s": self.per_s,
            "peak_memory_bytes": self.need.total_bytes,
            "fits": self.fits,
            "precision": self.precision,
            "basis": self.basis,
            "provider": self.offer.provider if self.offer else None,
            "usd_per_thousand": self.usd_per_thousand.mid if self.usd_per_thousand else None,
        }


def predictions_on(
    profile: ModelProfile, device: Device, batch_size: int, offer: Offer | None = None, way: Way = EAGER
) -> Serving:
    """Predict batches on one device.

    Parameters
    ----------
    profile
        of the forward pass (mode "forward")
    device
        one device; of an offer what is really rented (`Database.device_of`)
    batch_size
        samples at once
    offer
        what is rented
    way
        how it runs; in 8 bits as a compiler for inference makes it of a profile in 16 bits, weights and activations of
        half the bytes

    Raises
    ------
    UsageError
        the profile is of a training step, or does not hold for this batch
    UnknownPrecision
        the device has no peak for the precision
    """
    if profile.mode != "forward":
        raise UsageError(f"The profile of {profile.model} is of a training step; serving needs the forward pass")
    if way.int8 and profile.precision not in BITS_16:
        raise UsageError(f"8 bits are made of a profile in 16 bits; that of {profile.model} is in {profile.precision}")
    one = device.logical_device()
    latency, basis = forward_pass(profile, (batch_size, profile.sequence_length), one, way)
    held: Held = held_at_peak(profile.at(batch_size=batch_size), MemorySettings())
    if way.int8:
        halves = ("parameter_bytes", "activation_bytes", "input_and_buffer_bytes")
        held = replace(held, **{name: getattr(held, name) // 2 for name in halves})
    need = need_of(held, overhead_of(one), one.usable_memory_bytes)
    hourly = offer.usd_per_device_hour / device.logical_devices if offer else None
    price = None if hourly is None else latency * (hourly / HOUR_S * 1000 / batch_size)
    return Serving(device, batch_size, latency, basis, need, offer, price, INT8 if way.int8 else profile.precision)
