"""How a case was executed, in the terms of the formulas of time."""

from __future__ import annotations

from typing import Final

from estimator.timing import Execution, TimeSettings
from estimator.validation.cases import Case
from estimator.validation.software import memory_format_of

EXECUTION_OF: Final[dict[str, Execution]] = {
    "eager": "eager",
    "inductor": "inductor",
    "xla": "graph",
    "other": "graph",
    "megatron": "megatron",
}
"""Column `compile` -> execution; "other" stands for frameworks that run a graph (TensorFlow, MXNet)."""


def execution_of(case: Case) -> TimeSettings:
    """Return the settings of the time of a case."""
    return TimeSettings(EXECUTION_OF[case.compile], memory_format_of(case))
