"""How much longer or shorter the parts of a split step take in the software that runs it than the formulas say.

Thirteen numbers from 734 published steps on 2 to 8,192 devices (`factors.csv`; eleven fitted, two set by hand), all
else comes from the operations, the links and the schedule. Expected were factors of 1, each with the spread of what is
known of it; how good that is, in and out of sample, is in docs/parallel.md. Software that was not measured keeps
factors of 1.
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
    from estimator.parallel.blocks import Floats
    from estimator.parallel.stack import Stack
    from estimator.parallel.values import Triple
    from estimator.timing import Basis
    from hardware_db import Device
    from profiles.tables import OperationTable

ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Factors on times; 1 where nothing was measured."""

    products: float = 1.0
    float8_products: float = 1.0
    attention_backward: float = 1.0
    traffic: float = 1.0
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


@cache
def adjustment_of(stack_name: str, architecture: str) -> Adjustment:
    """Return the factors of a software; those measured on this architecture take the place of its general ones."""
    general, own = _factors(stack_name, ANY), _factors(stack_name, architecture)
    return Adjustment(**(general | own))


@cache
def _factors(stack_name: str, architecture: str) -> dict[str, float]:
    with (files("estimator.parallel") / "factors.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = [row for row in rows if (row["stack"], row["architecture"]) == (stack_name, architecture)]
    return {row["what"]: float(row["factor"]) for row in found}


RANGES: Final = {
    "Megatron": triple(0.85, 1.0, 1.28),
    "PyTorch FSDP": triple(0.89, 1.0, 1.11),
    "XLA": triple(0.87, 1.0, 1.19),
}
"""Measured over predicted time of the fitted steps, 10th and 90th percentile, by software."""


def range_of(stack: Stack, total: Triple) -> Triple:
    """Return the 80 % range of a step: what published steps of the software showed, else as the parts say."""
    if stack.name not in RANGES:
        return total
    found: Triple = total[1] * RANGES[stack.name]
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
