"""What published measurements say of a device beyond its datasheet, and how far predictions on it were off."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.timing.launch import LAST_SLOW_YEAR
from estimator.timing.machine import Machine, large_product, multiplied_in, operand_size, release_year
from estimator.timing.measured import COSTS, Measured, cores_said, machine_profiles, measured_for
from estimator.timing.parameters import QUANTITIES, factors_of, forget_parameters, parameters_of, published_steps
from estimator.timing.rates import sustained_rate
from estimator.timing.settings import Basis
from hardware_db.errors import DataError
from hardware_db.store_place import store_url
from hardware_db.units import precision_of_products

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.machine_profile import MachineProfile

SUSTAINED: Final = "sustained.matmul."
"""What the figures of machine profiles are called that say what products reach, before the precision."""

USUAL_MODULE_S: Final = 6.9e-6 + 3e-6
"""Seconds in which a host of up to 2020 issues a small operation with the call of its module: 6.9 us on the Cascade
Lake (2019) among the recorded machines, and about 3 us to launch a kernel (on a V100 kernels of 2.9 us launched one
after the other take 3.8 us each: NVIDIA, "Getting Started with CUDA Graphs", 2019). Models take more a module, by their
own Python; how much more is fitted, and a faster host is faster at both."""

FEWEST_CASES: Final = 3
"""Measured steps of a device from which on its factors count as its own calibration."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Factors on the rates of products, on the memory bandwidth and on the host's time, and what they rest on.

    `measured` is the machine profile behind them, where there is one.
    """

    matrix_rate: float = 1.0
    vector_rate: float = 1.0
    bandwidth: float = 1.0
    host: float = 1.0
    basis: Basis = "datasheet"
    measured: Measured | None = None

    def applied(self, machine: Machine) -> Machine:
        """Return the machine with these factors."""
        return replace(
            machine,
            rate_factor=machine.rate_factor * np.where(machine.matrix, self.matrix_rate, self.vector_rate),
            bandwidth=machine.bandwidth * self.bandwidth,
        )


def correction_of(device: Device) -> Correction:
    """Return what is known of the device beyond its datasheet: benchmarked, published, of its architecture, nothing.

    A benchmark of a sibling counts where nothing was published of the device itself.
    """
    units = device.compute_units or 0
    return _known(device.id, device.architecture, libraries(device), device.kind, units, store_url())


@lru_cache(maxsize=4096)
def _known(device: str, architecture: str, vendor: str, kind: str, units: float, store: str) -> Correction:
    published = _published(device, architecture, vendor)
    found = measured_for(device, architecture, kind, units, store)
    if found is None or (found.basis == "sibling" and published.basis == "calibrated"):
        return published
    return _benchmarked(found, published)


def correction_measured(profile: MachineProfile, device: Device) -> Correction:
    """Return what one machine profile says of the device that it was measured on, whatever profiles are kept.

    Raises
    ------
    DataError
        too little of a processor was measured
    """
    if device.kind == "cpu" and profile.figure(COSTS) is None:
        raise DataError(f"Too little of {device.id} was measured to predict by it. Benchmark again")
    found = Measured(profile.values, device, "measured", profile.date, own=True)
    return _benchmarked(found, published_correction(device))


def libraries(device: Device) -> str:
    """Return whose libraries run on a device, as the factors of vendors are named: "AMD gpu"."""
    return f"{device.vendor} {device.kind}"


def published_correction(device: Device) -> Correction:
    """Return what published measurements alone say of the device, whatever was benchmarked."""
    return _published(device.id, device.architecture, libraries(device))


def forget_tables() -> None:
    """Read the tables of the calibration anew the next time: after they were written in this process."""
    forget_parameters()
    spreads.cache_clear()
    spread_of.cache_clear()
    _known.cache_clear()


def forget_measured() -> None:
    """Read machine profiles anew the next time: after a benchmark in this process."""
    machine_profiles.cache_clear()
    _known.cache_clear()


def _published(device: str, architecture: str, vendor: str) -> Correction:
    own, siblings = factors_of("device", device), factors_of("architecture", architecture)
    calibrated = any(factor.n >= FEWEST_CASES for factor in own.values())
    of_vendor = factors_of("vendor", vendor)
    used = (of_vendor, siblings, own) if calibrated else (of_vendor, siblings)
    matrix, vector, bandwidth = (
        float(np.prod([factors[name].factor for factors in used if name in factors])) for name in QUANTITIES
    )
    basis: Basis = "calibrated" if calibrated else "sibling" if siblings else "datasheet"
    return Correction(matrix, vector, bandwidth, basis=basis)


def _benchmarked(found: Measured, published: Correction) -> Correction:
    """Return the factors that make the formulas say what was measured; others stay as published."""
    machine, parameters = found.machine, parameters_of(found.machine.kind)
    rates: dict[str, list[float]] = {"matrix_rate": [], "vector_rate": []}
    for name, rate in found.figures.items():
        precision = name.removeprefix(SUSTAINED)
        if precision != name and machine.supports(precision):
            quantity = "matrix_rate" if precision in machine.matrix_peaks else "vector_rate"
            rates[quantity].append(rate / sustained_with(Correction(), machine, precision))
    factors = {name: float(np.exp(np.mean(np.log(found)))) for name, found in rates.items() if found}
    streamed, launch = found.figures.get("bandwidth.elementwise"), found.figures.get("launch.module")
    if streamed and machine.memory_bandwidth_bytes_per_s:
        expected = machine.memory_bandwidth_bytes_per_s * parameters["elementwise_bandwidth"]
        factors["bandwidth"] = streamed / expected
    if launch:
        newer = 2.0 ** (-max(release_year(machine) - LAST_SLOW_YEAR, 0.0) / parameters["host_halving_years"])
        factors["host"] = launch / (USUAL_MODULE_S * newer)
    return replace(published, **factors, basis=found.basis, measured=found)


def sustained_with(correction: Correction, device: Device, precision: str) -> float:
    """Return the FLOP/s that large matrix products sustain with this correction.

    Raises
    ------
    UnknownPrecision
        the device publishes no peak for the precision
    UsageError
        the device publishes no memory bandwidth
    """
    peak = device.peak_flops_per_s(precision)
    name = multiplied_in(device, precision_of_products(precision), convolution=False)
    matrix, operand = np.asarray(name in device.matrix_peaks), np.asarray(operand_size(device, name))
    machine = large_product(device, np.asarray(peak), matrix, operand)
    return float(sustained_rate(correction.applied(machine), parameters_of(device.kind)))


def ground_of(device: Device) -> str:
    """Return in words what a prediction for the device rests on."""
    fitted = f"formulas fitted to {published_steps():,} published steps"
    own, siblings = factors_of("device", device.id), factors_of("architecture", device.architecture)
    correction = correction_of(device)
    basis, found = correction.basis, correction.measured
    if found is not None:
        part = cores_said(found.machine)
        return f"flopcast benchmark of {found.machine.id}{', ' * bool(part)}{part}, {found.date}; {fitted}"
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
    known = "calibrated" if basis == "measured" else basis
    same_basis = [each for each in of_kind if each.basis == known] or of_kind
    candidates = [each for each in same_basis if each.execution == execution] or same_basis
    widest = max(candidates, key=lambda each: each.high / each.low)
    return widest if measured else replace(widest, low=widest.low**2, high=widest.high**2)
