"""Latencies of single operators as samples: they pin what a product or a pass over memory takes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from estimator.calibration.design import Sample
from estimator.timing.machine import machine_of
from estimator.timing.work import work_of
from hardware_db.errors import DataError, UnknownDevice
from profiles.records import Operation
from profiles.tables import Labels, OperationTable

if TYPE_CHECKING:
    import pandas as pd

    from hardware_db import Database, Device

ELEMENT_BYTES: Final = {"float32": 4, "float16": 2}
SHORTEST_S: Final = 5e-4
"""Below this the host's share of a single timed call is not negligible (a call takes 15 to 60 us to issue)."""

LONGEST_SIDE: Final = 20_000
PER_GROUP: Final = 15
SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """How an operator of the file is priced: as a product, or as traffic of so many tensors."""

    operator: str
    family: str
    precision: str
    tensors: int = 0


KINDS: Final = {
    ("neusight", "linear"): Kind("aten.mm", "matmul", "float32"),
    ("vidur", "linear"): Kind("aten.mm", "matmul", "float16"),
    ("neusight", "add"): Kind("aten.add", "elementwise", "float32", 3),
    ("neusight", "mulu"): Kind("aten.mul", "elementwise", "float32", 2),
    ("neusight", "relu"): Kind("aten.relu", "activation", "float32", 2),
    ("neusight", "ln"): Kind("aten.native_layer_norm", "normalisation", "float32", 2),
}
"""(source, operator in the file) -> how it is priced. Others are of odd shapes or measured on a cold device."""


@dataclass(frozen=True, slots=True)
class OperatorSample:
    """A sample of one operator on one device."""

    sample: Sample
    device: Device
    source: str


def operator_samples(path: Path, hardware: Database) -> Iterator[OperatorSample]:
    """Read `PER_GROUP` latencies of each device and operator, drawn at random (the same ones every time).

    Raises
    ------
    DataError
        The file cannot be read.
    """
    frame = _read(path)
    for (source, operator, name), rows in frame.groupby(["source", "op", "device_canonical"], observed=True):
        kind, device = KINDS.get((str(source), str(operator))), _device(hardware, str(name))
        if kind is None or device is None:
            continue
        for row in rows.sample(min(PER_GROUP, len(rows)), random_state=SEED).itertuples():
            yield OperatorSample(_sample(row, kind, device), device, f"operators/{source}/{operator}")


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    columns = ["source", "device_canonical", "op", "pass", "M", "N", "K", "B", "H", "latency_ms"]
    try:
        frame = pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"Cannot read {path}: {error}") from error
    sides = frame[["M", "N", "K"]].max(axis=1).fillna(0)
    return frame[(frame["pass"] == "fwd") & (frame["latency_ms"] > 1e3 * SHORTEST_S) & (sides <= LONGEST_SIDE)]


def _device(hardware: Database, name: str) -> Device | None:
    try:
        return hardware.device(name).logical_device()
    except UnknownDevice:
        return None


def _sample(row: Any, kind: Kind, device: Device) -> Sample:
    table = one_row(_product(row, kind) if kind.family == "matmul" else _traffic(row, kind))
    machine = machine_of(table, device, "eager", "contiguous")
    return Sample(work_of.__wrapped__(table), machine, False, 1, False, 1e-3 * float(row.latency_ms))


def _product(row: Any, kind: Kind) -> Operation:
    m, n, k = int(row.M), int(row.N), int(row.K)
    element = ELEMENT_BYTES[kind.precision]
    return _operation(kind, 2 * m * n * k, (m * k + k * n) * element, m * n * element, {"m": m, "n": n, "k": k})


def _traffic(row: Any, kind: Kind) -> Operation:
    tensor = int(row.B) * int(row.H) * ELEMENT_BYTES[kind.precision]
    return _operation(kind, 0, (kind.tensors - 1) * tensor, tensor, {})


def _operation(kind: Kind, flops: int, read: int, written: int, sizes: dict[str, int]) -> Operation:
    return Operation(
        operator=kind.operator,
        family=kind.family,
        phase="forward",
        module="",
        inputs=(),
        outputs=(),
        precision=kind.precision,
        engine="matrix" if flops else "vector",
        flops=flops,
        model_flops=flops,
        executed_flops=flops,
        bytes_read=read,
        bytes_written=written,
        dims=tuple(sizes.items()),
    )


def one_row(operation: Operation) -> OperationTable:
    """Return the table of a single operation."""
    numbers: dict[str, Any] = {
        name: np.array([getattr(operation, name)])
        for name in ("flops", "model_flops", "executed_flops", "bytes_read", "bytes_written", "count")
    }
    labels: dict[str, Any] = {
        name: Labels.of([getattr(operation, name)])
        for name in ("family", "phase", "engine", "precision", "operator", "module", "source")
    }
    dims = {name: np.array([float(size)]) for name, size in operation.dims}
    flags: dict[str, Any] = {name: np.array([getattr(operation, name)]) for name in ("counted", "recomputed")}
    return OperationTable(**numbers, **labels, **flags, dims=dims)
