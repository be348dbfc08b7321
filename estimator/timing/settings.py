"""How operations are executed, and what comes back when their time is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Basis = Literal["measured", "calibrated", "sibling", "datasheet", "given"]
BASES: Final[tuple[Basis, ...]] = ("measured", "calibrated", "sibling", "datasheet", "given")
"""Where the efficiencies behind a time come from, best first: this device benchmarked here, published measurements of
this device, of others of its architecture, the datasheet with the efficiencies of all devices; or set by the user."""

Execution = Literal["eager", "inductor", "graph", "megatron"]
EXECUTIONS: Final[tuple[Execution, ...]] = ("eager", "inductor", "graph", "megatron")
"""Operation by operation; `torch.compile`; a whole-graph compiler (XLA, TensorFlow, MXNet); Megatron's fused layers."""

EAGER: Final = 0

EXECUTION: Final[Mapping[str, Execution]] = {"tpu": "graph", "npu": "graph"}
"""Kinds of device that run a compiled graph (XLA, Neuron, Gaudi's graph mode); all others run eager."""

MemoryFormat = Literal["contiguous", "channels_last"]

BOUNDS: Final = ("compute", "memory", "launch")
COMPUTE, MEMORY, LAUNCH = range(3)


@dataclass(frozen=True, slots=True)
class TimeSettings:
    """How the operations of a step are executed.

    Attributes
    ----------
    execution
        one of `EXECUTIONS`
    memory_format
        layout of images: "contiguous" (NCHW) or "channels_last" (NHWC)
    """

    execution: Execution = "eager"
    memory_format: MemoryFormat = "contiguous"


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
        what had to be left out or assumed, for the reader
    """

    device_s: Floats
    host_s: Floats
    bound: NDArray[np.int_]
    basis: Basis
    notes: tuple[str, ...] = ()
