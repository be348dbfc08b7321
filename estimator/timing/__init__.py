"""Time of operations: formulas with few parameters, fitted to published measurements, with honest ranges."""

from estimator.timing.corrections import Correction, correction_measured, correction_of, ground_of
from estimator.timing.measured import as_benchmarked, cores_said
from estimator.timing.predict import beside, copying, predict, streaming, sustained_flops_per_s
from estimator.timing.seconds import side_by_side
from estimator.timing.settings import (
    BASES,
    BOUNDS,
    COMPUTE,
    EXECUTION,
    EXECUTIONS,
    LAUNCH,
    MEMORY,
    Basis,
    Execution,
    MemoryFormat,
    TimeBreakdown,
    TimeSettings,
)

__all__ = [
    "BASES",
    "BOUNDS",
    "COMPUTE",
    "EXECUTION",
    "EXECUTIONS",
    "LAUNCH",
    "MEMORY",
    "Basis",
    "Correction",
    "Execution",
    "MemoryFormat",
    "TimeBreakdown",
    "TimeSettings",
    "as_benchmarked",
    "beside",
    "copying",
    "cores_said",
    "correction_measured",
    "correction_of",
    "ground_of",
    "predict",
    "side_by_side",
    "streaming",
    "sustained_flops_per_s",
]
