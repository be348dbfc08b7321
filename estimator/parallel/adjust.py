"""How much longer or shorter the parts of a split step take in the software that runs it than the formulas say.

A few numbers a software, from published steps on 2 to 8,192 devices (`factors.csv`, `ranges.csv`; written by
`python -m estimator.calibration.parallel`, which also leaves sources out); all else comes from the operations, the
links and the schedule. Expected are factors of 1, each with the spread of what is known of it. Software that was not
measured keeps factors of 1.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.values import triple
from estimator.timing.corrections import Correction
from estimator.timing.parameters import QUANTITIES, factors_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from estimator.parallel.blocks import Floats
    from estimator.parallel.stack import Stack
    from estimator.parallel.values import Triple
    from estimator.timing import Basis
    from hardware_db import Device
    from profiles.tables import OperationTable

ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Factors on times; 1 where nothing was measured. `expert_products` come on top of those of all products."""

    products: float = 1.0
    float8_products: float = 1.0
    attention_backward: float = 1.0
    traffic: float = 1.0
    expert_products: float = 1.0
    tensor: float = 1.0
    expert: float = 1.0
    host: float = 1.0

    def of_operations(self, table: OperationTable) -> Floats:
        """Return the factor of each operation; the optimizer has its own formula."""
        matrix, attention = table.engine.mask("matrix"), table.family.mask("attention")
        backward, float8 = table.phase.mask("backward"), table.precision.mask("float8")
        products = np.where(float8, self.float8_products, self.products)
        fused = np.where(backward, self.attention_backward, 1.0)
        factors = np.where(matrix, np.where(attention, fused, products), self.traffic)
        return np.where(table.phase.mask("optimizer"), 1.0, factors)


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a program on an architecture, or on `ANY`: its value, the natural log of its spread, and meaning."""

    stack: str
    architecture: str
    what: str
    factor: float
    spread: float
    meaning: str


@cache
def factor_table() -> tuple[Factor, ...]:
    """All factors, as recorded by the calibration."""
    with (files("estimator.parallel") / "factors.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Factor(r["stack"], r["architecture"], r["what"], float(r["factor"]), float(r["spread"]), r["meaning"])
        for r in rows
    )


def program(stack_name: str, kind: str) -> str:
    """Return the name of what runs a step: one software has another compiler and other kernels on another kind.

    Examples
    --------
    >>> program("XLA", "gpu"), program("XLA", "tpu")
    ('XLA', 'XLA on tpu')
    """
    return stack_name if kind == "gpu" else f"{stack_name} on {kind}"


@cache
def adjustment_of(stack_name: str, device: Device) -> Adjustment:
    """Return the factors of a software; those measured on this architecture take the place of its general ones."""
    name = program(stack_name, device.kind)
    return adjustment_from(factor_table(), name if is_measured(name) else stack_name, device.architecture)


def adjustment_from(table: Iterable[Factor], name: str, architecture: str) -> Adjustment:
    """Return the factors that a table has for a program on an architecture."""
    mine = [each for each in table if each.stack == name]
    general = {each.what: each.factor for each in mine if each.architecture == ANY}
    own = {each.what: each.factor for each in mine if each.architecture == architecture}
    return Adjustment(**(general | own))


@cache
def is_measured(stack_name: str) -> bool:
    """Whether a software has factors of its own."""
    return any(each.stack == stack_name for each in factor_table())


@cache
def ranges() -> dict[str, Triple]:
    """Program -> measured over predicted time of steps that were left out of the fit, 10th and 90th percentile."""
    with (files("estimator.parallel") / "ranges.csv").open(encoding="utf-8") as file:
        return {row["stack"]: triple(float(row["low"]), 1.0, float(row["high"])) for row in csv.DictReader(file)}


def range_of(stack: Stack, kind: str, total: Triple) -> Triple:
    """Return the 80 % range of a step on a kind of device: what published steps showed, else as the parts say."""
    known = ranges().get(program(stack.name, kind), ranges().get(stack.name))
    if known is None:
        return total
    found: Triple = total[1] * known
    return found


@cache
def chip_correction(device: Device) -> Correction:
    """Return what was measured of the device's architecture, not of the device.

    Factors of one device rest on a few runs of other software on single devices; A100 40 GB and 80 GB, the same chip,
    are 15 % apart there, and not at all in split steps.
    """
    known = factors_of("architecture", device.architecture)
    matrix, vector, bandwidth = (known[name].factor if name in known else 1.0 for name in QUANTITIES)
    basis: Basis = "calibrated" if known else "datasheet"
    return Correction(matrix_rate=matrix, vector_rate=vector, bandwidth=bandwidth, basis=basis)
