"""Time of operations: formulas with few parameters, fitted to published measurements, with honest ranges."""

from estimator.timing.corrections import Correction, correction_of
from estimator.timing.predict import predict
from estimator.timing.seconds import side_by_side
from estimator.timing.settings import (
    BASES,
    BOUNDS,
    COMPUTE,
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
    "EXECUTIONS",
    "LAUNCH",
    "MEMORY",
    "Basis",
    "Correction",
    "Execution",
    "MemoryFormat",
    "TimeBreakdown",
    "TimeSettings",
    "correction_of",
    "predict",
    "side_by_side",
]
