"""What is known of a model: its parameters, every operation of one step and the memory it takes, at any size.

A profile needs no torch. It is recorded once (`profiles.profile_model`), saved, and answers other batch sizes and
sequence lengths from exact polynomials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hardware_db.errors import DataError, UsageError
from profiles.image_sizes import ImageSizes
from profiles.operation_trace import OperationTrace
from profiles.records import MemoryFootprint, Operation, PhaseTotals, Rung, Uncounted
from profiles.tables import OperationTable

if TYPE_CHECKING:
    import pandas as pd

    from profiles.breakdown import GroupRow, ModuleRow

SCHEMA = 1
Mode = Literal["train", "forward"]


@dataclass(frozen=True)
class ModelProfile:
    """One step of a model: forward, and in training also loss, backward and optimizer step.

    model                  the name or definition that was asked for
    mode                   "train" or "forward" (inference)
    precision              as asked for: float32, bfloat16, amp_bfloat16 ...; operations carry their own
    optimizer              None in forward mode
    device                 kind of the target: "cuda", "cpu", "tpu" ...
    parameters             every tied parameter counted once
    trainable_parameters   those that receive a gradient
    trace                  operations and live bytes, with the batch size and sequence length they hold for
    module_parameters      (module path, parameters it owns itself), folded like `Operation.module`: the figure is the
                           sum over all layers that the path stands for; 0 for a module that owns only tied parameters
                           counted elsewhere
    image_size             pixels of a side; None where there are no images
    images                 what is known of images of other sizes; None: nothing
    sequence_limit         the longest sequence that the model takes; None without a limit
    rung, rung_reason      how it was traced, and why not on a higher rung
    notes                  what a reader should know about the numbers
    versions               (package, version) of what made the profile
    """

    model: str
    mode: Mode
    precision: str
    optimizer: str | None
    device: str
    parameters: int
    trainable_parameters: int
    trace: OperationTrace
    module_parameters: tuple[tuple[str, int], ...] = ()
    image_size: int | None = None
    sequence_limit: int | None = None
    rung: Rung = "meta"
    rung_reason: str = ""
    notes: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    images: ImageSizes | None = None
    schema: int = SCHEMA

    def __hash__(self) -> int:
        # Cheap and consistent with equality: profiles are keys of what was worked out for them, asked for often.
        return hash((self.model, self.mode, self.precision, self.optimizer, self.device, self.trace))

    @property
    def batch_size(self) -> int:
        """Samples in the step."""
        return self.trace.batch_size

    @property
    def sequence_length(self) -> int | None:
        """Tokens per sample; None for a model without sequences."""
        return self.trace.sequence_length

    def at(
        self, batch_size: int | None = None, sequence_length: int | None = None, image_size: int | None = None
    ) -> ModelProfile:
        """Return the profile at another size, exactly and without torch; what is left out stays as it is.

        Raises
        ------
        UsageError
            If the model does not take this size or the recording does not cover it.
        """
        if sequence_length is not None and self.sequence_limit is not None and sequence_length > self.sequence_limit:
            raise UsageError(
                f"{self.model} takes at most {self.sequence_limit:,} tokens; given: {sequence_length:,}. "
                f"Use --sequence-length {self.sequence_limit} or less"
            )
        if image_size is not None and image_size != self.image_size:
            return self._for_images(image_size).at(batch_size, sequence_length)
        trace = self.trace.at(batch_size, sequence_length)
        return self if trace is self.trace else replace(self, trace=trace)

    def _for_images(self, side: int) -> ModelProfile:
        if self.image_size is None:
            raise UsageError(f"{self.model} takes no images of variable size; {side} was given. Leave it out")
        if self.images is None:
            raise UsageError(
                f"{self.model} was recorded with --image-size {self.image_size} alone; "
                f"{side} needs a new profile of the model"
            )
        parameters, trainable, by_module = self.images.parameters_at(side)
        return replace(
            self,
            parameters=parameters,
            trainable_parameters=trainable,
            module_parameters=by_module,
            trace=self.images.trace_at(self.batch_size, side),
            image_size=side,
        )

    def table(self, batch_size: int | None = None, sequence_length: int | None = None) -> OperationTable:
        """Return the operations as numpy columns, at this or another size."""
        return self.at(batch_size, sequence_length).trace.table

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The distinct operations, each with its count."""
        return self.trace.operations

    @cached_property
    def flops(self) -> PhaseTotals:
        """FLOPs as the kernels are called: attention in full, recomputation and flash backward included."""
        return self.trace.table.totals("flops")

    @cached_property
    def matmul_flops(self) -> PhaseTotals:
        """The part of `flops` in matrix products: 2 for every multiply-add of the matrix engine's operations."""
        table = self.trace.table
        return table.totals("flops", table.engine.mask("matrix"))

    @cached_property
    def model_flops(self) -> PhaseTotals:
        """FLOPs in products that the model asks for: no recomputation, attention in full. The numerator of MFU."""
        return self.trace.table.totals("model_flops")

    @cached_property
    def executed_flops(self) -> PhaseTotals:
        """FLOPs that the device carries out: causal attention skips the masked half. What time follows from."""
        return self.trace.table.totals("executed_flops")

    @cached_property
    def bytes_moved(self) -> PhaseTotals:
        """Smallest possible traffic to device memory in bytes."""
        return self.trace.table.totals("bytes_moved")

    @property
    def arithmetic_intensity(self) -> float:
        """FLOPs per byte moved, whole step; nan where nothing is moved."""
        moved = self.bytes_moved.total
        return self.flops.total / moved if moved else math.nan

    @cached_property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """Operators without a formula, by share of all bytes moved, largest first."""
        table = self.trace.table
        names = dict.fromkeys(table.operator.values[~table.counted].tolist())
        found = [self._uncounted(name) for name in names]
        return tuple(sorted(found, key=lambda each: (-each.share, each.operator)))

    def _uncounted(self, operator: str) -> Uncounted:
        table = self.trace.table
        rows = table.operator.mask(operator) & ~table.counted
        moved, everything = table.totals("bytes_moved", rows).total, self.bytes_moved.total
        return Uncounted(operator, sum(table.count[rows].tolist()), moved / everything if everything else 0.0)

    @property
    def memory(self) -> MemoryFootprint:
        """The bytes alive at the peak of the step, by what holds them.

        Raises
        ------
        DataError
            If the profile was made without a timeline of live bytes.
        """
        footprint = self.trace.memory
        if footprint is None:
            raise DataError(f"The profile of {self.model} has no record of memory; profile the model again")
        return footprint

    @property
    def peak_memory_bytes(self) -> int:
        """The largest number of live bytes at any time of the step."""
        return self.memory.peak_bytes

    def by_module(self, depth: int = 1) -> tuple[ModuleRow, ...]:
        """Return one row for every module down to `depth`; equal layers share a row, and the rows sum to the totals."""
        from profiles.breakdown import by_module

        return by_module(self, depth)

    def by_family(self) -> tuple[GroupRow, ...]:
        """Return one row for every operator family (matmul, attention, ...), most FLOPs first."""
        from profiles.breakdown import by_label

        return by_label(self, "family")

    def by_operator(self) -> tuple[GroupRow, ...]:
        """Return one row for every operator, most FLOPs first."""
        from profiles.breakdown import by_label

        return by_label(self, "operator")

    def by_phase(self) -> tuple[GroupRow, ...]:
        """Return one row for each phase, in order."""
        from profiles.breakdown import by_label

        return by_label(self, "phase")

    def to_frame(self) -> pd.DataFrame:
        """Return one row for every distinct operation; numbers are for one call, `count` says how many calls."""
        from profiles.breakdown import to_frame

        return to_frame(self)

    def to_json(self) -> str:
        """Return the profile as compact JSON; `from_json` gives an equal profile back."""
        from profiles.profile_json import dump

        return dump(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelProfile:
        """Read what `to_json` wrote.

        Raises
        ------
        DataError
            If the text is no profile: what is wrong and where.
        """
        from profiles.profile_json import parse

        return parse(text)

    def save(self, path: Path | str) -> None:
        """Write the profile to a file, whole or not at all; a name ending in .gz is compressed."""
        from profiles.profile_json import save

        save(self, Path(path))

    @classmethod
    def load(cls, path: Path | str) -> ModelProfile:
        """Read a profile file, compressed or not.

        Raises
        ------
        DataError
            If the file cannot be read or is no profile.
        """
        from profiles.profile_json import load

        return load(Path(path))

    def __repr__(self) -> str:
        from profiles.display import text

        return text(self)

    def _repr_html_(self) -> str:
        from profiles.display import html

        return html(self)
