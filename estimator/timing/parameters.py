"""The parameters of the formulas of time, by kind of device, and what was measured of devices and architectures.

`parameters.csv` and `factors.csv` are written by `python -m estimator.calibration.fit`; nothing here is set by hand.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from estimator.timing.rates import Parameters

QUANTITIES: Final = ("matrix_rate", "vector_rate", "bandwidth")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of the formulas.

    `expected` and `spread` (standard deviation of the logarithm) say what was expected before the fit, and from what.
    """

    kind: str
    name: str
    value: float
    expected: float
    spread: float
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Factor:
    """How much more (or less) than the formulas say was measured of a device or an architecture.

    `n` is the number of measured steps behind it, `sources` where they were published.
    """

    scope: str
    name: str
    quantity: str
    factor: float
    n: int
    sources: str


def _read(name: str) -> list[dict[str, str]]:
    with (files("estimator.timing") / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def parameter_table() -> tuple[Parameter, ...]:
    """All parameters, as recorded."""
    return tuple(
        Parameter(
            kind=row["kind"],
            name=row["name"],
            value=float(row["value"]),
            expected=float(row["expected"]),
            spread=float(row["spread"]),
            unit=row["unit"],
            meaning=row["meaning"],
        )
        for row in _read("parameters.csv")
    )


@cache
def parameters_of(kind: str) -> Parameters:
    """Values by name for a kind of device; kinds that were never measured share those of GPUs."""
    table = parameter_table()
    general = {each.name: each.value for each in table if each.kind == "gpu"}
    return {**general, **{each.name: each.value for each in table if each.kind == kind}}


@cache
def factor_table() -> tuple[Factor, ...]:
    """All factors, as recorded."""
    return tuple(
        Factor(
            scope=row["scope"],
            name=row["name"],
            quantity=row["quantity"],
            factor=float(row["factor"]),
            n=int(row["n"]),
            sources=row["sources"],
        )
        for row in _read("factors.csv")
    )


@cache
def factors_of(scope: str, name: str) -> dict[str, Factor]:
    """Factors of one device or architecture by quantity; empty where nothing was measured."""
    return {each.quantity: each for each in factor_table() if each.scope == scope and each.name == name}


def forget_parameters() -> None:
    """Read both tables anew the next time."""
    for each in (parameter_table, parameters_of, factor_table, factors_of, published_steps):
        each.cache_clear()


@cache
def published_steps() -> int:
    """Return how many measured steps the factors rest on."""
    return sum(each.n for each in factor_table() if each.scope == "architecture" and each.quantity == "bandwidth")
