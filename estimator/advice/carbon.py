"""What a run emits: energy of the devices, what the data centre adds, and the electricity of the region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from estimator.ranges import Range
from hardware_db.energy import area_of, carbon_intensity, power_usage_effectiveness

if TYPE_CHECKING:
    from estimator.result import Estimate
    from hardware_db import Offer

USUAL_EFFECTIVENESS: Final = 1.56
"""Power usage effectiveness of a provider that publishes none: the average of Uptime Institute's survey of 2024 (from
memory)."""

WORLD_GRAMS_PER_KWH: Final = 473.0
"""Grams of CO2 equivalent a kWh of the world's electricity in 2024: Ember, Global Electricity Review 2025 (from
memory)."""


@dataclass(frozen=True, slots=True)
class Emissions:
    """Kilograms of CO2 equivalent, of the devices and what cools them, and what it rests on."""

    co2_kg: Range
    grams_per_kwh: float
    effectiveness: float
    area: str
    assumed: tuple[str, ...]


def grams_and_effectiveness(offer: Offer | None) -> tuple[float, float, str, tuple[str, ...]]:
    """Return grams of CO2 equivalent per kWh, power usage effectiveness, area, and what of it is assumed."""
    if offer is None:
        return WORLD_GRAMS_PER_KWH, 1.0, "world", ("own devices: the world's electricity",)
    return _of_place(offer.provider, offer.region)


@cache
def _of_place(provider: str, region: str) -> tuple[float, float, str, tuple[str, ...]]:
    area = area_of(provider, region)
    published = power_usage_effectiveness(provider)
    intensity = carbon_intensity(area) if area else None
    assumed = []
    if intensity is None:
        assumed.append(f"where {provider} {region} stands is not known: the world's electricity")
    if published is None:
        assumed.append(f"{provider} publishes no power usage effectiveness: {USUAL_EFFECTIVENESS}")
    grams = intensity.value if intensity else WORLD_GRAMS_PER_KWH
    effectiveness = published.value if published else USUAL_EFFECTIVENESS
    return grams, effectiveness, intensity.area if intensity else "world", tuple(assumed)


def emissions(row: Estimate) -> Emissions | None:
    """Return what a run emits; None where the power of the device is unknown."""
    if row.energy is None:
        return None
    grams, effectiveness, area, assumed = grams_and_effectiveness(row.offer)
    return Emissions(row.energy * (effectiveness * grams / 1000), grams, effectiveness, area, assumed)
