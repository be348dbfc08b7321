"""What whoever pays wants: limits, and where a run may take place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from hardware_db.errors import UsageError
from hardware_db.records import Pricing

Framework = Literal["torch", "jax"]
FRAMEWORKS: Final[Mapping[Framework, frozenset[str]]] = {
    "torch": frozenset({"cpu", "gpu"}),
    "jax": frozenset({"cpu", "gpu", "tpu"}),
}
"""Kinds of device on which a framework trains without a layer of someone else's (torch/XLA, Neuron, Gaudi's bridge)."""

LIMITS: Final = ("budget_usd", "deadline_s", "max_co2_kg")


@dataclass(frozen=True)
class Wishes:
    """Limits and places; None: none, all.

    Attributes
    ----------
    budget_usd, deadline_s, max_co2_kg
        at most so much in US dollars, seconds of wall-clock time, kilograms of CO2 equivalent
    provider, region
        exact
    devices
        names and patterns ("h100-*,tpu-v5e")
    counts
        devices in use; default 1, 2, 4, 8, and more where nothing else is in time
    framework
        torch or jax: only devices that it trains on
    spot
        machines that may be taken away, too
    reserved
        prices of machines reserved for one or three years, too, for hours that the reservation has left
    own
        device id -> how many of them are there already: they cost electricity
    electricity_usd_per_kwh
        what own devices are run with; None: the world's price for businesses
    """

    budget_usd: float | None = None
    deadline_s: float | None = None
    max_co2_kg: float | None = None
    provider: str | None = None
    region: str | None = None
    devices: str | None = None
    counts: tuple[int, ...] | None = None
    framework: Framework | None = None
    spot: bool = False
    reserved: bool = False
    own: Mapping[str, int] = field(default_factory=dict, hash=False)
    electricity_usd_per_kwh: float | None = None

    def __post_init__(self) -> None:
        for name in LIMITS:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name} must be above 0; given: {value}")
        if self.framework is not None and self.framework not in FRAMEWORKS:
            raise UsageError(f"framework {self.framework!r} is unknown. Use one of: {', '.join(FRAMEWORKS)}")

    @property
    def pricings(self) -> tuple[Pricing, ...]:
        """How offers may be paid."""
        spot: tuple[Pricing, ...] = ("spot",) if self.spot else ()
        reserved: tuple[Pricing, ...] = ("reserved_1y", "reserved_3y") if self.reserved else ()
        return ("on_demand", *spot, *reserved)

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set."""
        return {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}
