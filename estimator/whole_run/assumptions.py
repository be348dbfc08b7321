"""Figures of a whole run that no model or device decides: each a range with its source, replaced by what is given."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from estimator.ranges import Range

Name = Literal[
    "startup",
    "compile",
    "restart",
    "storage",
    "spot_between",
    "provisioning",
    "price_drift",
    "price_moving",
    "software",
]


@dataclass(frozen=True, slots=True)
class Assumption:
    """One figure: its range in `unit`, on what ground (docs, derived, estimate), who says so."""

    name: str
    range: Range
    unit: str
    basis: str
    source: str
    note: str

    @property
    def told(self) -> str:
        """Ground, source and note in a line."""
        return f"{self.basis}: {self.note} ({self.source})"


def assumption(name: Name) -> Assumption:
    """Return the figure of this name."""
    return _assumptions()[name]


@cache
def _assumptions() -> dict[str, Assumption]:
    """Read assumptions.csv, one figure a row."""
    with files("estimator.whole_run").joinpath("assumptions.csv").open(encoding="utf-8") as file:
        return {row["name"]: _assumption(row) for row in csv.DictReader(file)}


def _assumption(row: dict[str, str]) -> Assumption:
    ends = Range(float(row["low"]), float(row["mid"]), float(row["high"]))
    return Assumption(row["name"], ends, row["unit"], row["basis"], row["source"], row["note"])
