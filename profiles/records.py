"""What was observed of a model: its operations, one record each. Nothing here needs torch.

Convention everywhere: one multiply-add is 2 FLOPs. Sizes are elements, memory is bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["forward", "backward", "optimizer"]
PHASES: tuple[Phase, ...] = ("forward", "backward", "optimizer")
Engine = Literal["matrix", "vector", "none"]
Rung = Literal["meta", "fake", "cpu"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and type of one tensor, as an operation saw it.

    `storage_elements` is how many distinct elements lie behind it (fewer than the product of the shape for an
    expanded tensor), so that a broadcast is not charged as memory traffic.
    """

    shape: tuple[int, ...]
    dtype: str
    storage_elements: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One distinct operation and how often it ran; all sizes are for ONE call, `count` says how many calls.

    operator          as the framework calls it, e.g. "aten.mm"
    family            what a performance engineer calls it: one of `FAMILIES`
    phase             forward, backward or optimizer
    module            path in the model; equal layers are folded: "transformer.h.[0-11].attn.c_attn"
    inputs, outputs   the tensors
    precision         in which the multiply-adds run: float32, tf32, bfloat16, float16, float8, int8, float64 ...
    engine            matrix (tensor core, MXU), vector, or none (pure data movement)
    flops             FLOPs as the kernel is called: attention in full, recomputation and flash backward included
    model_flops       FLOPs in products that the model asks for: no recomputation, attention in full, 0 for vector work
                      (for MFU)
    executed_flops    FLOPs the device carries out: causal attention skips the masked half (for time)
    bytes_read, bytes_written   smallest possible traffic to device memory
    dims              the sizes that decide the speed: ("m","n","k","batch") of a product, and the like
    counted           False where no formula is known and `flops` is an estimate by class
    recomputed        True inside activation checkpointing's second forward
    count             number of calls
    source            "file.py:line" of the user's code that called it, where known
    """

    operator: str
    family: str
    phase: Phase
    module: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: str
    engine: Engine
    flops: int
    model_flops: int
    executed_flops: int
    bytes_read: int
    bytes_written: int
    dims: tuple[tuple[str, int], ...] = ()
    counted: bool = True
    recomputed: bool = False
    count: int = 1
    source: str = ""

    @property
    def bytes_moved(self) -> int:
        """Bytes read plus bytes written, one call."""
        return self.bytes_read + self.bytes_written


FAMILIES = (
    "matmul",
    "convolution",
    "attention",
    "rnn",
    "normalisation",
    "softmax",
    "activation",
    "elementwise",
    "reduction",
    "embedding",
    "pooling",
    "loss",
    "random",
    "fft",
    "sparse",
    "copy",
    "view",
    "optimizer",
    "other",
)


@dataclass(frozen=True, slots=True)
class PhaseTotals:
    """One quantity split by phase; sums like a number."""

    forward: int = 0
    backward: int = 0
    optimizer: int = 0

    @property
    def total(self) -> int:
        """All phases together."""
        return self.forward + self.backward + self.optimizer

    def __add__(self, other: PhaseTotals) -> PhaseTotals:
        return PhaseTotals(
            self.forward + other.forward, self.backward + other.backward, self.optimizer + other.optimizer
        )

    @classmethod
    def of(cls, operations: Iterable[Operation], quantity: Callable[[Operation], int]) -> PhaseTotals:
        """Sum `quantity` of one call times `count` over the operations of each phase."""
        sums = dict.fromkeys(PHASES, 0)
        for operation in operations:
            sums[operation.phase] += quantity(operation) * operation.count
        return cls(**sums)


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An operator that has no formula: how often it ran and its share of all bytes moved (0 to 1)."""

    operator: str
    calls: int
    share: float


@dataclass(frozen=True, slots=True)
class MemoryFootprint:
    """Bytes on the device at the peak of a (second) training step, by what holds them.

    `peak_bytes` is the sum of the others. `peak_phase` and `peak_module` say when it occurs.
    """

    parameter_bytes: int
    buffer_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    input_bytes: int
    activation_bytes: int
    peak_phase: Phase
    peak_module: str

    @property
    def peak_bytes(self) -> int:
        """Largest number of live bytes at any time of the step."""
        return (
            self.parameter_bytes
            + self.buffer_bytes
            + self.gradient_bytes
            + self.optimizer_state_bytes
            + self.input_bytes
            + self.activation_bytes
        )
