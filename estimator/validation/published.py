"""Published measurements that ship with flopcast, with their operations, so that they are predicted without torch.

`published.csv` has the measurements in the columns of `estimator.validation.cases`, each with its source;
`published_operations.npz` the operations of the step that was measured; `peers.csv` what other predictors say of some.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from estimator.timing import predict
from estimator.validation.cases import Case, read_cases
from estimator.validation.execution import execution_of
from estimator.validation.floors import Floors, floors_of
from estimator.validation.prediction import calls_in_step, step_range
from hardware_db import Database, load
from profiles.tables import Labels, OperationTable

if TYPE_CHECKING:
    from estimator.ranges import Range
    from estimator.timing import Basis

NUMBERS: Final = ("flops", "executed_flops", "bytes_read", "bytes_written", "count")
DIMS: Final = ("m", "n", "k", "batch", "kernel", "positions", "products")
NAMES: Final = ("family", "phase", "engine", "precision", "operator")

_FILES: Final = files("estimator.validation")


@dataclass(frozen=True, eq=False)
class Published:
    """A published measurement with the prediction of it."""

    case: Case
    step_time: Range
    basis: Basis
    floors: Floors

    @property
    def error(self) -> float:
        """Predicted over measured, minus 1."""
        return self.step_time.mid / (self.case.measured_step_time_s or np.nan) - 1


@cache
def published_cases() -> tuple[Case, ...]:
    """All published measurements that ship."""
    with as_file(_FILES / "published.csv") as path:
        return tuple(read_cases(path))


@cache
def peers() -> dict[str, dict[str, float]]:
    """Case -> what other predictors say of it, in seconds; only those that say anything."""
    with (_FILES / "peers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["case_id"]: {name: float(value) for name, value in row.items() if name != "case_id" and value}
        for row in rows
    }


def predict_published(hardware: Database | None = None) -> tuple[Published, ...]:
    """Predict every published measurement that ships."""
    hardware = hardware or load()
    operations = _operations()
    return tuple(_predict(case, operations[case.case_id], hardware) for case in published_cases())


def _predict(case: Case, table: OperationTable, hardware: Database) -> Published:
    device = hardware.device(case.device).logical_device()
    breakdown = predict(table, device, execution_of(case))
    weights = calls_in_step(table, case)
    return Published(
        case, step_range(breakdown, weights, case, device.kind), breakdown.basis, floors_of(table, weights, device)
    )


@cache
def _operations() -> dict[str, OperationTable]:
    """Case -> its operations; cases of one step share a table."""
    with as_file(_FILES / "published_operations.npz") as path, np.load(path) as kept:
        columns = {name: kept[name] for name in kept.files}
    ends = np.cumsum(columns["length"])
    tables = [_table(columns, end - length, end) for length, end in zip(columns["length"], ends, strict=True)]
    return {str(case): tables[place] for case, place in zip(columns["case_id"], columns["table"], strict=True)}


def _table(columns: dict[str, Any], start: int, end: int) -> OperationTable:
    rows = slice(start, end)
    n = end - start
    nothing, no = Labels.of([""] * n), np.zeros(n, dtype=np.bool_)
    numbers: dict[str, Any] = {name: columns[name][rows] for name in NUMBERS}
    labels: dict[str, Any] = {name: Labels.of(columns[f"{name}_names"][columns[name][rows]].tolist()) for name in NAMES}
    return OperationTable(
        **numbers,
        **labels,
        model_flops=columns["flops"][rows],
        module=nothing,
        source=nothing,
        dims={name: columns[f"dim_{name}"][rows] for name in DIMS},
        counted=~no,
        recomputed=no,
    )
