"""What published measurements say of a device beyond its datasheet, and how far predictions on it were off."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.timing.machine import Machine
from estimator.timing.parameters import QUANTITIES, factors_of, published_steps
from estimator.timing.settings import Basis

if TYPE_CHECKING:
    from hardware_db import Device

FEWEST_CASES: Final = 3
"""Measured steps of a device from which on its factors count as its own calibration."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Factors on the rates of matrix and vector products and on the memory bandwidth, and what they rest on."""

    matrix_rate: float = 1.0
    vector_rate: float = 1.0
    bandwidth: float = 1.0
    basis: Basis = "datasheet"

    def applied(self, machine: Machine) -> Machine:
        """Return the machine with these factors."""
        return replace(
            machine,
            rate_factor=machine.rate_factor * np.where(machine.matrix, self.matrix_rate, self.vector_rate),
            bandwidth=machine.bandwidth * self.bandwidth,
        )


def correction_of(device: Device) -> Correction:
    """Return what was measured of the device and its architecture; of neither: the datasheet as it is."""
    own, siblings = factors_of("device", device.id), factors_of("architecture", device.architecture)
    calibrated = any(factor.n >= FEWEST_CASES for factor in own.values())
    used = (siblings, own) if calibrated else (siblings,)
    values = {name: float(np.prod([f[name].factor for f in used if name in f])) for name in QUANTITIES}
    basis: Basis = "calibrated" if calibrated else "sibling" if siblings else "datasheet"
    return Correction(**values, basis=basis)


def ground_of(device: Device) -> str:
    """Return in words what a prediction for the device rests on."""
    fitted = f"formulas fitted to {published_steps():,} published steps"
    own, siblings = factors_of("device", device.id), factors_of("architecture", device.architecture)
    basis = correction_of(device).basis
    if basis == "calibrated":
        factor = own["bandwidth"]
        return f"{fitted}, {factor.n} of them on {device.id} ({factor.sources.replace(' ', ', ')})"
    if basis == "sibling":
        factor = siblings["bandwidth"]
        steps = f"{factor.n} of them" if factor.n else "and products timed"
        return f"{fitted}, {steps} on others of its architecture, {device.architecture}"
    return f"{fitted} of other devices, and the datasheet of {device.id}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured over predicted time of left-out cases of one kind: the 10th and the 90th percentile of `n` of them."""

    kind: str
    execution: str
    basis: str
    low: float
    high: float
    n: int


@cache
def spreads() -> tuple[Spread, ...]:
    """All spreads, as recorded by the calibration."""
    with (files("estimator.timing") / "spreads.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Spread(r["kind"], r["execution"], r["basis"], float(r["low"]), float(r["high"]), int(r["n"])) for r in rows
    )


@cache
def spread_of(kind: str, execution: str, basis: str) -> Spread:
    """Return the spread for a kind of device, execution and basis: the most particular one that was recorded.

    An execution that was never left out takes the widest spread of its kind and basis. A kind of device of which
    nothing was measured takes that of GPUs, twice as wide: nothing says that its formulas err less.
    """
    measured = any(each.kind == kind for each in spreads())
    of_kind = [each for each in spreads() if each.kind == (kind if measured else "gpu")]
    same_basis = [each for each in of_kind if each.basis == basis] or of_kind
    candidates = [each for each in same_basis if each.execution == execution] or same_basis
    widest = max(candidates, key=lambda each: each.high / each.low)
    return widest if measured else replace(widest, low=widest.low**2, high=widest.high**2)
