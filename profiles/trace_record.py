"""From the calls of a tracer to a compact record of them that answers any size.

`fold` keeps what one run showed; `fit_growth` compares runs at several sizes and makes every number an exact polynomial
in batch size and sequence length. Equal calls of equal layers become one operation with a count.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from hardware_db.errors import DataError
from profiles.growth import Point, size_text
from profiles.growth_fit import SizeDependent, fit
from profiles.layers import Indices, fold_indices, join_path, single_layers
from profiles.operation_trace import OperationTrace, Recording, numbers_of
from profiles.records import Operation
from profiles.thresholds import held
from profiles.timeline import LiveBytes, LiveTable, Timeline, fit_timeline

__all__ = ["LiveBytes", "OperationTrace", "RawTrace", "Recording", "SizeDependent", "Timeline", "fit_growth", "fold"]


@dataclass(slots=True)
class RawTrace:
    """What one run of the tracer yields.

    operations       every call in order; module paths name one layer each ("transformer.h.3.attn.c_attn") and `count`
                     is 1, though folded paths with counts are understood too
    timeline         the live bytes after each call, in order; moment by moment or as arrays
    batch_size       samples
    sequence_length  tokens per sample; None for a model without sequences
    kept             module (one path a layer) -> activation bytes it allocated that are alive when the forward pass and
                     the loss are done; empty if not looked at
    patches          None, unless `sequence_length` holds the side of an image: then how many patches attention sees
    """

    operations: list[Operation] = field(default_factory=list)
    timeline: Sequence[LiveBytes] | LiveTable = field(default_factory=list)
    batch_size: int = 1
    sequence_length: int | None = None
    kept: dict[str, int] = field(default_factory=dict)
    patches: int | None = None

    @property
    def point(self) -> Point:
        """The sizes of this run; 1 stands for no sequence."""
        point = self.batch_size, 1 if self.sequence_length is None else self.sequence_length
        return point if self.patches is None else (*point, self.patches)


def fold(raw: RawTrace) -> OperationTrace:
    """Fold equal calls of equal layers into one operation with a count; the result holds at the size of `raw` only."""
    return fit_growth([raw])


def fit_growth(raws: Sequence[RawTrace], thresholds: Collection[int] = (), but: int = 0) -> OperationTrace:
    """Fold runs of the same model at several sizes into one trace that is exact at any size.

    The first run's size becomes the size of the trace. To prove a law linear in the batch size takes 3 distinct batch
    sizes, quadratic in the sequence length 4 distinct lengths, and more runs than coefficients: 6 runs for a language
    model, 3 for an image classifier. Sizes without a common factor make the trace exact everywhere; with a common
    factor f it holds for multiples of f only.

    Runs at batch size 1 are fitted apart from the others, in the sequence length alone (4 lengths), because operators
    vanish there. `thresholds` are lengths at which the model may begin to compute something else; the trace holds on
    their side of the runs, and across those that runs on both sides prove not to matter. Multiples of `but` are lengths
    at which the model is known to make other calls.

    Raises
    ------
    SizeDependent
        If the runs differ in their calls or a number follows no polynomial.
    """
    ones = [raw for raw in raws if raw.batch_size == 1]
    others = [raw for raw in raws if raw.batch_size != 1]
    recording = replace(_record(others or ones, thresholds), but=but)
    single = replace(_record(ones, thresholds), but=but) if ones and others else None
    return OperationTrace(recording, raws[0].batch_size, raws[0].sequence_length, single)


def _record(raws: Sequence[RawTrace], thresholds: Collection[int]) -> Recording:
    points = [raw.point for raw in raws]
    check_same_calls(raws)
    vectors: dict[tuple[int, ...], int] = {}
    operations: list[Operation] = []
    slots: list[tuple[int, ...]] = []
    for calls, pattern, layers in _group(raws):
        _check_same_structure(calls, raws)
        numbers = zip(*(numbers_of(call) for call in calls), strict=True)
        places = tuple(vectors.setdefault(vector, len(vectors)) for vector in numbers)
        for box, each in fold_indices(layers):
            count = each * math.prod(map(len, box))
            operations.append(replace(calls[0], module=join_path(pattern, box), count=count))
            slots.append(places)
    sizes = fit(list(vectors), points)
    timeline = fit_timeline([raw.timeline for raw in raws], [raw.kept for raw in raws], points)
    runs = tuple((raw.batch_size, raw.sequence_length) for raw in raws)
    lengths = held([point[1] for point in points], thresholds)
    return Recording(tuple(operations), tuple(slots), sizes, timeline, runs, lengths)


def check_same_calls(raws: Sequence[RawTrace]) -> None:
    """Raise SizeDependent unless all runs make the same calls in the same modules."""
    first = raws[0]
    called = [(call.operator, call.module, call.count) for call in first.operations]
    for other in raws[1:]:
        if (other.sequence_length is None) != (first.sequence_length is None):
            raise SizeDependent("Some runs have a sequence length, others none")
        if [(call.operator, call.module, call.count) for call in other.operations] != called:
            raise SizeDependent(
                f"The model makes {len(called):,} calls at {size_text(first.batch_size, first.sequence_length)} and "
                f"{len(other.operations):,} at {size_text(other.batch_size, other.sequence_length)}, not the same ones"
            )


Group = tuple[tuple[Operation, ...], str, dict[Indices, int]]


def _group(raws: Sequence[RawTrace]) -> list[Group]:
    """Group calls that agree in everything but the layer: (one call of each run, path pattern, layer -> calls)."""
    ids = [_identities(raw.operations) for raw in raws]
    groups: dict[tuple[int, ...], Group] = {}
    for at, (identity, call) in enumerate(zip(zip(*ids, strict=True), raws[0].operations, strict=True)):
        pattern, choices = single_layers(call.module)
        found = groups.get(identity)
        if found is None:
            calls = tuple(raw.operations[at] for raw in raws)
            found = groups[identity] = (calls, pattern, {})
        layers = found[2]
        each, rest = divmod(call.count, len(choices))
        if rest:
            raise DataError(f"{call.count} calls of {call.operator} cannot be shared equally by '{call.module}'")
        for layer in choices:
            layers[layer] = layers.get(layer, 0) + each
    return list(groups.values())


# What distinguishes calls besides the module. Plain tuples of it are hashed in a fifth of the time of the records.
_TENSOR = attrgetter("shape", "dtype", "storage_elements")
_FIGURES = attrgetter(
    "operator", "phase", "flops", "model_flops", "executed_flops", "bytes_read", "bytes_written", "dims",
    "family", "precision", "engine", "counted", "recomputed", "source",
)  # fmt: skip


def _identities(operations: Sequence[Operation]) -> list[int]:
    """Number the calls so that two have the same number if and only if they agree in all but layer and count."""
    seen: dict[tuple[object, ...], int] = {}
    return [
        seen.setdefault(
            (
                single_layers(call.module)[0],
                _FIGURES(call),
                tuple(map(_TENSOR, call.inputs)),
                tuple(map(_TENSOR, call.outputs)),
            ),
            len(seen),
        )
        for call in operations
    ]


def _check_same_structure(calls: tuple[Operation, ...], raws: Sequence[RawTrace]) -> None:
    structure = _structure(calls[0])
    for call, raw in zip(calls[1:], raws[1:], strict=True):
        if _structure(call) != structure:
            raise SizeDependent(
                f"{call.operator} in '{call.module}' is another kind of call at "
                f"{size_text(raw.batch_size, raw.sequence_length)} than at the first size"
            )


def _structure(call: Operation) -> tuple[object, ...]:
    tensors = tuple((len(tensor.shape), tensor.dtype) for tensor in call.inputs + call.outputs)
    names = tuple(name for name, _ in call.dims)
    kind = (call.family, call.phase, call.precision, call.engine, call.counted, call.recomputed, call.source)
    return (len(call.inputs), tensors, names, kind)
