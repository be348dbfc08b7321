"""Constants of the memory formulas: one table, each with a range and where it comes from."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from estimator.ranges import Range
from hardware_db.errors import DataError


@dataclass(frozen=True, slots=True)
class Parameter:
    """One constant.

    Attributes
    ----------
    scope
        architecture, vendor or kind of device that it holds for, or "any"
    name, unit
        what it is and what it is counted in
    value
        its range
    basis
        "documented" (in the framework's source or manual), "measured" (published measurements) or "estimate"
    source
        where it comes from
    """

    scope: str
    name: str
    value: Range
    unit: str
    basis: str
    source: str


@cache
def parameter_table() -> dict[tuple[str, str], Parameter]:
    """Return all constants by scope and name."""
    with (files("estimator.memory") / "parameters.csv").open(encoding="utf-8") as file:
        rows = [_parameter(row) for row in csv.DictReader(file)]
    return {(row.scope, row.name): row for row in rows}


def _parameter(row: dict[str, str]) -> Parameter:
    value = Range(float(row["low"]), float(row["mid"]), float(row["high"]))
    return Parameter(row["scope"], row["name"], value, row["unit"], row["basis"], row["source"])


def parameter(name: str, scopes: Iterable[str]) -> Parameter:
    """Return a constant for the first of the scopes that has it, else the one that holds for any device.

    Raises
    ------
    DataError
        No constant has this name.
    """
    table = parameter_table()
    for scope in (*scopes, "any"):
        if (scope, name) in table:
            return table[scope, name]
    raise DataError(f"estimator/memory/parameters.csv has no {name!r} for any device")
