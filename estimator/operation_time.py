"""Time of every distinct operation on one device: a roofline per operation, not one utilisation for the model.

    device time = max(executed FLOPs / (peak * efficiency), bytes / (bandwidth * efficiency)) + start of the kernel

(Williams, Waterman and Patterson, 2009, with the efficiencies of `estimator.priors`). The host that issues the
operations is a second stream beside the device: whoever adds up a step takes the longer of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from estimator.priors import PRIORS, Execution, kernel_prior, matrix_prior
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.growth import Integers
    from profiles.tables import Labels, OperationTable

Floats = NDArray[np.float64]
Basis = Literal["measured", "calibrated", "sibling", "datasheet", "given"]

BOUNDS: Final = ("compute", "memory", "launch")
COMPUTE, MEMORY, LAUNCH = range(3)

EXECUTION: Final[Mapping[str, Execution]] = {"tpu": "graph", "npu": "graph"}
"""Kinds of device that run a compiled graph (XLA, Neuron, Gaudi's graph mode); all others run eager."""

FUSIBLE: Final = ("activation", "elementwise", "normalisation", "softmax", "copy", "random", "reduction")
"""Families whose traffic a graph compiler can fuse away."""

ROW_WISE: Final = ("normalisation", "softmax")

COMPUTED_IN: Final[Mapping[str, str]] = dict.fromkeys(
    ("float16", "bfloat16", "float8", "int64", "int32", "int16", "int8", "uint8", "bool"), "float32"
)
"""Element-wise arithmetic in short floats runs in float32 registers (PyTorch's opmath type), at their rate. Indices and
masks are counted at the same rate: nobody publishes one for integers, and they are a millionth of the work."""


@dataclass(frozen=True, slots=True)
class TimeSettings:
    """How the operations are executed: one by one by a host (eager) or as one compiled graph."""

    execution: Execution = "eager"


@dataclass(frozen=True, slots=True)
class TimeBreakdown:
    """Time of all calls of each distinct operation of a table, in the table's order.

    Attributes
    ----------
    device_s
        (3, n) seconds on the device: low, mid, high
    host_s
        (3, n) seconds the host needs to issue them; zero where no host is in the loop
    bound
        (n,) index into `BOUNDS`: what takes most of the operation's middle time
    basis
        where the efficiencies come from
    notes
        what had to be left out, for the reader
    """

    device_s: Floats
    host_s: Floats
    bound: NDArray[np.int_]
    basis: Basis
    notes: tuple[str, ...] = ()


def predict(table: OperationTable, device: Device, settings: TimeSettings) -> TimeBreakdown:
    """Return the time of each distinct operation of `table` on `device`.

    Raises
    ------
    UnknownPrecision
        a matrix product runs in a precision for which the device publishes no peak
    UsageError
        the device publishes no memory bandwidth
    """
    compute = _compute_s(table, device)
    memory = _memory_s(table, device, settings)
    start = _kernel_s(table, device, settings)
    per_call = np.maximum(compute, memory) + start
    bound = np.stack([compute[1], memory[1], start[1]]).argmax(axis=0)
    calls = as_floats(table.count)
    return TimeBreakdown(
        device_s=per_call * calls,
        host_s=_launch_s(table, device, settings) * calls,
        bound=bound,
        basis="datasheet",
        notes=_notes(table, device),
    )


def _compute_s(table: OperationTable, device: Device) -> Floats:
    matrix = table.engine.mask("matrix")
    efficiency = np.where(matrix, PRIORS[matrix_prior(device)].values, PRIORS["vector"].values)
    seconds: Floats = as_floats(table.executed_flops) / (_peaks(table, device) * efficiency)
    return seconds


def as_floats(column: Integers) -> Floats:
    """Return a column of exact integers as floats."""
    return column.astype(np.float64)


def _peaks(table: OperationTable, device: Device) -> Floats:
    """Peak FLOP/s of each operation's engine; inf for vector operations on a device without a vector peak (noted)."""
    peaks = np.full(len(table), np.inf)
    for engine, peak_of in (("matrix", matrix_peak), ("vector", vector_peak)):
        on_engine = _working(table, engine)
        for precision in _names(table.precision, on_engine):
            peaks[on_engine & table.precision.mask(precision)] = peak_of(device, precision)
    return peaks


def _working(table: OperationTable, engine: str) -> NDArray[np.bool_]:
    working: NDArray[np.bool_] = table.engine.mask(engine) & (table.executed_flops > 0)
    return working


def _names(labels: Labels, rows: NDArray[np.bool_]) -> list[str]:
    return [labels.names[code] for code in np.unique(labels.codes[rows])]


def matrix_peak(device: Device, precision: str) -> float:
    """Return the dense peak of products in FLOP/s."""
    return device.peak_flops_per_s(precision)


def vector_peak(device: Device, precision: str) -> float:
    """Return the rate of element-wise arithmetic in FLOP/s; inf where none is published: bytes alone decide then."""
    return device.vector_peaks.get(COMPUTED_IN.get(precision, precision)) or np.inf


def _memory_s(table: OperationTable, device: Device, settings: TimeSettings) -> Floats:
    if device.memory_bandwidth_bytes_per_s is None:
        raise UsageError(f"no memory bandwidth of {device.id} is known")
    if device.kind == "cpu":
        efficiency = PRIORS["bandwidth, cpu"].values
    else:
        rows = table.family.mask(*ROW_WISE)
        efficiency = np.where(rows, PRIORS["bandwidth, rows"].values, PRIORS["bandwidth"].values)
    bytes_moved = as_floats(table.bytes_moved) * _traffic_left(table, settings)
    seconds: Floats = bytes_moved / (device.memory_bandwidth_bytes_per_s * efficiency)
    return seconds


def _traffic_left(table: OperationTable, settings: TimeSettings) -> Floats:
    if settings.execution == "eager":
        return np.ones((1, len(table)))
    return np.where(table.family.mask(*FUSIBLE), PRIORS["fused traffic"].values, 1.0)


def _kernel_s(table: OperationTable, device: Device, settings: TimeSettings) -> Floats:
    start: Floats = PRIORS[kernel_prior(device.kind, settings.execution)].values * ~table.family.mask("view")
    return start


def _launch_s(table: OperationTable, device: Device, settings: TimeSettings) -> Floats:
    """Host time per call: a CPU is its own host, a graph has none in the loop, a view starts nothing."""
    hosted = settings.execution == "eager" and device.kind != "cpu"
    return PRIORS["launch"].values * ~table.family.mask("view") * hosted


def _notes(table: OperationTable, device: Device) -> tuple[str, ...]:
    used = _names(table.precision, _working(table, "vector"))
    unknown = [precision for precision in used if not np.isfinite(vector_peak(device, precision))]
    if not unknown:
        return ()
    return ("no vector peak is known: element-wise operations count by their bytes alone",)
