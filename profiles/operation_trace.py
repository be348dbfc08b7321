"""All operations of a step, at any size that the recording covers, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

from hardware_db.errors import UsageError
from profiles.growth import SizePolynomials, size_text
from profiles.records import MemoryFootprint, Operation, TensorSpec
from profiles.tables import OperationTable, TableLayout
from profiles.thresholds import EVERYWHERE, Range, range_text
from profiles.timeline import LiveBytes, LiveTable, Timeline


@dataclass(frozen=True)
class Recording:
    """What was traced, for all sizes.

    operations   distinct operations at the sizes of the first run
    slots        for each operation the rows of `sizes` that hold its numbers, in the order of `numbers_of`
    sizes        every number as a polynomial
    timeline     live bytes as polynomials
    runs         the (batch size, sequence length) at which the model was traced
    lengths      shortest and longest sequence for which that is proven; None: no longest
    but          multiples of this are lengths for which nothing is proven; 0: there are none
    """

    operations: tuple[Operation, ...]
    slots: tuple[tuple[int, ...], ...]
    sizes: SizePolynomials
    timeline: Timeline
    runs: tuple[tuple[int, int | None], ...]
    lengths: Range = EVERYWHERE
    but: int = 0

    def __hash__(self) -> int:
        # Cheap and consistent with equality; hashing every operation would cost milliseconds at each look-up.
        return hash((self.runs, len(self.operations), len(self.sizes.denominators), self.sizes.coefficients[:8]))

    @cached_property
    def layout(self) -> TableLayout:
        """Where each column of the operation table is found; the same for all sizes."""
        return TableLayout.of(self.operations, self.slots)

    @cached_property
    def batch_multiple(self) -> int:
        """Batch sizes for which the recording is exact are multiples of this; 0 if only the recorded one is."""
        return _multiple([batch for batch, _ in self.runs])

    @cached_property
    def sequence_multiple(self) -> int:
        """Sequence lengths for which the recording is exact are multiples of this; 0 if only the recorded one is."""
        return _multiple([length for _, length in self.runs if length is not None])

    @property
    def any_length(self) -> bool:
        """Whether it holds for short and long sequences alike: no window of the model begins in between."""
        return bool(self.sequence_multiple) and self.lengths == EVERYWHERE

    def check(self, batch_size: int, sequence_length: int | None) -> None:
        """Refuse sizes for which nothing was proven.

        Raises
        ------
        UsageError
            Naming the sizes that would work.
        """
        batch, length = self.runs[0]
        _check_size("batch size", batch_size, batch, self.batch_multiple)
        if length is None and sequence_length is not None:
            raise UsageError("This model has no sequence length: leave it out")
        if length is not None:
            _check_size("sequence length", sequence_length, length, self.sequence_multiple)
            _check_range(sequence_length or length, self.lengths)
            _check_rest(sequence_length or length, self.but)

    def pinned(self, side: int, patches: int) -> Recording:
        """Return the recording for batch sizes alone where what stands for the length is the side of an image."""
        sizes = self.sizes.pinned(side, patches)
        runs = tuple(dict.fromkeys((batch, None) for batch, _ in self.runs))
        values = sizes.at(*runs[0]).tolist()
        pairs = zip(self.operations, self.slots, strict=True)
        operations = tuple(with_numbers(operation, [values[slot] for slot in slots]) for operation, slots in pairs)
        return Recording(operations, self.slots, sizes, self.timeline.pinned(side, patches), runs)

    def covers(self, sequence_length: int | None) -> bool:
        """Whether something is proven for this length."""
        length = self.runs[0][1]
        if length is None or sequence_length is None:
            return True
        multiple, (first, last) = self.sequence_multiple, self.lengths
        if sequence_length != length and not (multiple and sequence_length % multiple == 0):
            return False
        beyond = sequence_length < first or (last is not None and sequence_length > last)
        return not beyond and not (self.but and sequence_length % self.but == 0)


def _multiple(sizes: list[int]) -> int:
    return gcd(*sizes) if len(set(sizes)) > 1 else 0


def _check_size(name: str, given: int | None, recorded: int, multiple: int) -> None:
    if given is None or not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise UsageError(f"The {name} must be a whole number from 1 up; given: {given}")
    if given == recorded or (multiple and given % multiple == 0):
        return
    works = f"multiples of {multiple}" if multiple else f"{recorded:,} only"
    raise UsageError(f"The profile holds for a {name} of {works}; given: {given:,}. Profile the model at this size")


def _check_range(given: int, lengths: Range) -> None:
    first, last = lengths
    if first <= given and (last is None or given <= last):
        return
    raise UsageError(
        f"The profile holds for sequence lengths {range_text(lengths)}, beyond which it computes something else; "
        f"given: {given:,}. Profile the model at this length: --sequence-length {given}"
    )


def _check_rest(given: int, but: int) -> None:
    if but and given % but == 0:
        raise UsageError(
            f"The profile holds for sequence lengths that are no multiples of {but}, at which attention is called "
            f"otherwise; given: {given:,}. Profile the model at this length: --sequence-length {given}"
        )


@dataclass(frozen=True)
class OperationTrace:
    """The operations of one step at one batch size and sequence length; cheap to move to another size.

    `single` is the recording for batch size 1, where operators vanish (expanding, summing over the batch), so that
    larger batches say nothing exact about it; None if the model was not traced at batch size 1 besides others.
    `further` are recordings for lengths at which the model makes other calls, for one batch size or the others.
    """

    recording: Recording
    batch_size: int
    sequence_length: int | None
    single: Recording | None = None
    further: tuple[Recording, ...] = ()

    @cached_property
    def current(self) -> Recording:
        """The recording that holds for this size."""
        own = self.single if self.single is not None and self.batch_size == 1 else self.recording
        if not self.further or own.covers(self.sequence_length):
            return own
        others = (each for each in self.further if (each.runs[0][0] == 1) == (self.batch_size == 1))
        return next((each for each in others if each.covers(self.sequence_length)), own)

    def joined(self, other: OperationTrace) -> OperationTrace:
        """Return the trace with another one's recordings for the lengths that it does not cover itself."""
        more = (other.recording, *(() if other.single is None else (other.single,)))
        return replace(self, further=(*self.further, *more))

    @property
    def symbolic(self) -> bool:
        """Whether the trace answers other sizes than the recorded one."""
        return bool(self.recording.batch_multiple or self.recording.sequence_multiple)

    @property
    def exact(self) -> bool:
        """Whether operators can be relied on: False at size 1 if only larger ones were traced."""
        batches = {batch for batch, _ in self.current.runs}
        lengths = {length for _, length in self.current.runs}
        return (self.batch_size > 1 or 1 in batches) and (self.sequence_length != 1 or 1 in lengths)

    def at(self, batch_size: int | None = None, sequence_length: int | None = None) -> OperationTrace:
        """Return the trace at another size; what is left out stays as it is.

        Raises
        ------
        UsageError
            If the recording does not cover the size.
        """
        batch = self.batch_size if batch_size is None else batch_size
        length = self.sequence_length if sequence_length is None else sequence_length
        if (batch, length) == (self.batch_size, self.sequence_length):
            return self
        moved = OperationTrace(self.recording, batch, length, self.single, self.further)
        moved.current.check(batch, length)
        return moved

    @cached_property
    def table(self) -> OperationTable:
        """The numbers of all operations as numpy columns."""
        return self.current.layout.fill(self.current.sizes.at(self.batch_size, self.sequence_length))

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The distinct operations, each with its count."""
        recording = self.current
        if (self.batch_size, self.sequence_length) == recording.runs[0]:
            return recording.operations
        values = recording.sizes.at(self.batch_size, self.sequence_length).tolist()
        pairs = zip(recording.operations, recording.slots, strict=True)
        return tuple(with_numbers(operation, [values[slot] for slot in slots]) for operation, slots in pairs)

    @cached_property
    def timeline(self) -> tuple[LiveBytes, ...]:
        """The live bytes through the step; in a long step only the telling moments."""
        return self.current.timeline.at(self.batch_size, self.sequence_length)

    @cached_property
    def live(self) -> LiveTable:
        """The same as arrays."""
        return self.current.timeline.table(self.batch_size, self.sequence_length)

    @cached_property
    def memory(self) -> MemoryFootprint | None:
        """The live bytes at the peak; None if the timeline was not recorded."""
        return self.current.timeline.peak(self.batch_size, self.sequence_length)

    @cached_property
    def activation_bytes(self) -> dict[str, int]:
        """What the modules of each folded path keep from the forward for the backward pass, in bytes."""
        return self.current.timeline.activation_bytes(self.batch_size, self.sequence_length)

    def __repr__(self) -> str:
        size = size_text(self.batch_size, self.sequence_length)
        return f"<OperationTrace: {len(self.current.operations)} distinct operations at {size}>"


def numbers_of(operation: Operation) -> list[int]:
    """Return every number of an operation that may depend on its size, in a fixed order."""
    numbers = [
        operation.flops,
        operation.model_flops,
        operation.executed_flops,
        operation.bytes_read,
        operation.bytes_written,
    ]
    numbers.extend(value for _, value in operation.dims)
    for tensor in operation.inputs + operation.outputs:
        numbers.extend(tensor.shape)
        numbers.append(tensor.storage_elements)
    return numbers


def with_numbers(operation: Operation, numbers: Iterable[int]) -> Operation:
    """Return the operation with other numbers, in the order of `numbers_of`."""
    rest = iter(numbers)
    flops, model_flops, executed_flops, bytes_read, bytes_written = (next(rest) for _ in range(5))
    return replace(
        operation,
        flops=flops,
        model_flops=model_flops,
        executed_flops=executed_flops,
        bytes_read=bytes_read,
        bytes_written=bytes_written,
        dims=tuple((name, next(rest)) for name, _ in operation.dims),
        inputs=_resized(operation.inputs, rest),
        outputs=_resized(operation.outputs, rest),
    )


def _resized(tensors: tuple[TensorSpec, ...], numbers: Iterator[int]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tuple(next(numbers) for _ in t.shape), t.dtype, next(numbers)) for t in tensors)
