"""Profiles as JSON, schema 1: compact, checked on the way in, equal after a round trip.

Every number that depends on the size is stored as a row of a table of polynomials; tensors are stored once. A file from
a stranger is only data: unknown keys, NaN, sizes below 0, rows out of range and bombs are refused.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import threading
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import DataError, FlopcastError
from profiles.growth import Integers, SizePolynomials
from profiles.image_sizes import ImageSizes
from profiles.layers import layer_count
from profiles.model_profile import SCHEMA, ModelProfile
from profiles.operation_trace import OperationTrace, Recording, numbers_of, with_numbers
from profiles.records import Operation, TensorSpec
from profiles.timeline import Timeline

if TYPE_CHECKING:
    from profiles.profile_schema import ImagesDocument, OperationRow, ProfileDocument, RecordingDocument, SizesDocument

MOST_BYTES = 256 * 10**6
MOST_VALUE = 10**24
_GZIP = b"\x1f\x8b"
_PLAIN = (
    "model",
    "mode",
    "precision",
    "optimizer",
    "device",
    "parameters",
    "trainable_parameters",
    "image_size",
    "sequence_limit",
    "rung",
    "rung_reason",
    "notes",
    "versions",
    "module_parameters",
    "batch_size",
    "sequence_length",
)


def dump(profile: ModelProfile) -> str:
    """Return the profile as JSON text."""
    trace = profile.trace
    held = (trace.recording, trace.single, *trace.further)
    recordings = [_recording_document(each) for each in held if each is not None]
    images = {} if profile.images is None else {"images": _images_document(profile.images)}
    document = {
        "schema": SCHEMA,
        **{name: getattr(profile, name) for name in _PLAIN},
        "recordings": recordings,
        **images,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse(text: str | bytes, source: str = "The text") -> ModelProfile:
    """Read a profile; `source` names it in error messages.

    Raises
    ------
    DataError
        If it is no profile of this schema, or one that contradicts itself.
    """
    from profiles.profile_schema import read_document

    document = read_document(text, source)
    try:
        return _profile(document)
    except FlopcastError as error:
        raise DataError(f"{source} is no sound profile: {error}") from error


def save(profile: ModelProfile, path: Path) -> None:
    """Write the file whole or not at all; a name ending in .gz is compressed."""
    data = dump(profile).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"The profile cannot be written to {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # also where its folder is none
            part.unlink()


def load(path: Path) -> ModelProfile:
    """Read a profile file, compressed or not."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"The profile {path} cannot be read: {error.strerror or error}") from error
    return parse(unpack(data, str(path)), str(path))


def unpack(data: bytes, source: str) -> bytes:
    """Return the text of a profile file, compressed or not; `source` names it in error messages."""
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as stream:
            text = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"The profile {source} is damaged: {error}") from error
    if len(text) > MOST_BYTES:
        raise DataError(f"The profile {source} unpacks to more than {MOST_BYTES // 10**6} MB; no profile is that large")
    return text


# ---------------------------------------------------------------------------------------------------------- writing


def _recording_document(recording: Recording) -> dict[str, Any]:
    tensors: dict[TensorSpec, int] = {}
    pairs = zip(recording.operations, recording.slots, strict=True)
    rows = [_operation_row(with_numbers(operation, slots), tensors) for operation, slots in pairs]
    timeline = recording.timeline
    return {
        "runs": recording.runs,
        "lengths": recording.lengths,
        "but": recording.but,
        "sizes": _sizes_document(recording.sizes),
        "tensors": [(tensor.dtype, tensor.shape, tensor.storage_elements) for tensor in tensors],
        "operations": rows,
        "moments": timeline.moments,
        "moment_sizes": _sizes_document(timeline.sizes),
        "keepers": timeline.keepers,
        "kept": _sizes_document(timeline.kept),
    }


def _images_document(images: ImageSizes) -> dict[str, Any]:
    held = [each for each in (images.recording, images.single) if each is not None]
    return {
        "recordings": [_recording_document(each) for each in held],
        "modules": images.modules,
        "parameters": _sizes_document(images.parameters),
        "patches": _sizes_document(images.patches),
    }


def _operation_row(op: Operation, tensors: dict[TensorSpec, int]) -> tuple[Any, ...]:
    """Return a row of an operation whose numbers have been replaced by their slots."""
    inputs, outputs = ([tensors.setdefault(t, len(tensors)) for t in each] for each in (op.inputs, op.outputs))
    quantities = (op.flops, op.model_flops, op.executed_flops, op.bytes_read, op.bytes_written)
    kind = (op.operator, op.family, op.phase, op.module, op.precision, op.engine, op.source)
    return (kind, inputs, outputs, quantities, op.dims, op.counted, op.recomputed, op.count)


def _sizes_document(sizes: SizePolynomials) -> dict[str, Any]:
    return {
        "monomials": sizes.monomials,
        "coefficients": sizes.coefficients,
        "denominators": sizes.denominators,
    }


# ---------------------------------------------------------------------------------------------------------- reading


def _profile(document: ProfileDocument) -> ModelProfile:
    _check_parameters(document)
    recordings = [_recording(each) for each in document.recordings]
    first, *more = recordings
    single = more.pop(0) if more and _for_single(more[0]) and not _for_single(first) else None
    start = OperationTrace(first, *first.runs[0], single, tuple(more))
    trace = start.at(document.batch_size, document.sequence_length)
    if trace.sequence_length != document.sequence_length:
        raise DataError(f"it has sequence length {document.sequence_length}, its runs have {trace.sequence_length}")
    plain = {name: getattr(document, name) for name in _PLAIN if name not in ("batch_size", "sequence_length")}
    images = None if document.images is None else _images(document.images)
    return ModelProfile(trace=trace, images=images, **plain)


def _images(document: ImagesDocument) -> ImageSizes:
    parameters, patches = _sizes(document.parameters), _sizes(document.patches)
    if len(parameters.denominators) != len(document.modules) + 2 or len(patches.denominators) != 1:
        raise DataError(f"images need parameters of {len(document.modules)} modules and two totals, and one of patches")
    first, *more = (_recording(each, patches) for each in document.recordings)
    if (_for_single(first) and more) or (more and not _for_single(more[0])):
        raise DataError("images need recordings for larger batches and for batch size 1, in this order")
    return ImageSizes(first, more[0] if more else None, document.modules, parameters, patches)


def _for_single(recording: Recording) -> bool:
    return recording.runs[0][0] == 1


def _check_parameters(document: ProfileDocument) -> None:
    for path, count in document.module_parameters:
        if count % layer_count(path):
            raise DataError(f"{count:,} parameters cannot be shared equally by '{path[:100]}'")
    if document.trainable_parameters > document.parameters:
        raise DataError(f"{document.trainable_parameters:,} of {document.parameters:,} parameters are trainable")
    owned = sum(count for _, count in document.module_parameters)
    if document.module_parameters and owned != document.parameters:
        raise DataError(f"the modules own {owned:,} parameters, the model has {document.parameters:,}")


def _recording(document: RecordingDocument, patches: SizePolynomials | None = None) -> Recording:
    if len({length is None for _, length in document.runs}) > 1:
        raise DataError("some runs have a sequence length, others none")
    _check_lengths(document)
    sizes = _sizes(document.sizes)
    run = _run(document, patches)
    values = _checked(sizes, run)
    tensors = [TensorSpec(shape, dtype, storage) for dtype, shape, storage in document.tensors]
    templates = [_template(row, tensors) for row in document.operations]
    slots = tuple(tuple(numbers_of(template)) for template in templates)
    _check_rows((slot for each in slots for slot in each), len(values), "sizes")
    operations = tuple(
        with_numbers(template, [values[slot] for slot in each]) for template, each in zip(templates, slots, strict=True)
    )
    return Recording(operations, slots, sizes, _timeline(document, run), document.runs, document.lengths, document.but)


def _check_lengths(document: RecordingDocument) -> None:
    first, last = document.lengths
    outside = [s for _, s in document.runs if s is not None and (s < first or (last is not None and s > last))]
    if outside or (last is not None and last < first):
        raise DataError(f"its lengths {first} to {last} leave out some of its own runs")


Run = tuple[int, int | None, int | None]


def _run(document: RecordingDocument, patches: SizePolynomials | None) -> Run:
    """Return the size of the first run, with its patches where the length is the side of an image."""
    batch, length = document.runs[0]
    if patches is None:
        return batch, length, None
    if any(side is None for _, side in document.runs):
        raise DataError("a run for images has no side")
    return batch, length, int(patches.at(1, length)[0])


def _timeline(document: RecordingDocument, run: Run) -> Timeline:
    sizes, kept = _sizes(document.moment_sizes), _sizes(document.kept)
    live = _checked(sizes, run)
    _checked(kept, run)
    _check_rows((row for *_, rows in document.moments for row in rows), len(live), "moment_sizes")
    if len(document.keepers) != len(kept.denominators):
        raise DataError(f"{len(document.keepers)} keepers, but {len(kept.denominators)} sizes of what they keep")
    return Timeline(document.moments, sizes, document.keepers, kept)


def _sizes(document: SizesDocument) -> SizePolynomials:
    width = len(document.monomials)
    if len(document.coefficients) != len(document.denominators):
        raise DataError("as many rows of coefficients as denominators are needed")
    if any(len(row) != width for row in document.coefficients):
        raise DataError(f"every polynomial needs {width} coefficients, one for each monomial")
    return SizePolynomials(document.monomials, document.coefficients, document.denominators)


def _checked(sizes: SizePolynomials, run: Run) -> list[int]:
    values: Integers = sizes.at(*run)
    numbers: list[int] = values.tolist()
    if numbers and max(map(abs, numbers)) > MOST_VALUE:
        raise DataError(f"a size of {max(map(abs, numbers)):.3g} is beyond any model")
    return numbers


def _check_rows(rows: Iterable[int], length: int, name: str) -> None:
    highest = max(rows, default=-1)
    if highest >= length:
        raise DataError(f"row {highest} of {name} is asked for, but there are {length}")


def _template(row: OperationRow, tensors: list[TensorSpec]) -> Operation:
    """Return the operation with slots in place of its numbers."""
    kind, inputs, outputs, quantities, dims, counted, recomputed, count = row
    operator, family, phase, module, precision, engine, source = kind
    _check_rows((*inputs, *outputs), len(tensors), "tensors")
    if count % layer_count(module):
        raise DataError(f"{count} calls cannot be shared equally by '{module[:100]}'")
    return Operation(
        operator,
        family,
        phase,
        module,
        tuple(tensors[at] for at in inputs),
        tuple(tensors[at] for at in outputs),
        precision,
        engine,
        *quantities,
        dims=dims,
        counted=counted,
        recomputed=recomputed,
        count=count,
        source=source,
    )
