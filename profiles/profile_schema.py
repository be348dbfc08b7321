"""What a profile file may contain (schema 1), checked by pydantic before anything is computed from it."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hardware_db.errors import DataError
from profiles.model_profile import SCHEMA, Mode
from profiles.records import Engine, Phase, Rung
from profiles.thresholds import EVERYWHERE

Name = Annotated[str, Field(max_length=1000)]
Prose = Annotated[str, Field(max_length=10_000)]
Slot = Annotated[int, Field(ge=0, le=10**8)]
Size = Annotated[int, Field(ge=1, le=10**9)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Amount = Annotated[int, Field(ge=0, le=10**18)]
Power = Annotated[int, Field(ge=0, le=4)]
Coefficient = Annotated[int, Field(ge=-(10**30), le=10**30)]

Kind = tuple[Name, Name, Phase, Name, Name, Engine, Name]
OperationRow = tuple[
    Kind,
    tuple[Slot, ...],
    tuple[Slot, ...],
    tuple[Slot, Slot, Slot, Slot, Slot],
    tuple[tuple[Name, Slot], ...],
    bool,
    bool,
    Count,
]
Moment = tuple[Slot, Phase, Name, tuple[Slot, Slot, Slot, Slot, Slot, Slot]]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class SizesDocument(_Strict):
    """A table of polynomials, see `SizePolynomials`."""

    monomials: tuple[tuple[Power, Power, Power], ...]
    coefficients: tuple[tuple[Coefficient, ...], ...]
    denominators: tuple[Annotated[int, Field(ge=1, le=10**30)], ...]


class RecordingDocument(_Strict):
    """One recording: `Recording` with tensors stored once."""

    runs: Annotated[tuple[tuple[Size, Size | None], ...], Field(min_length=1, max_length=1000)]
    lengths: tuple[Size, Size | None] = EVERYWHERE
    sizes: SizesDocument
    tensors: tuple[tuple[Name, tuple[Slot, ...], Slot], ...]
    operations: tuple[OperationRow, ...]
    moments: tuple[Moment, ...]
    moment_sizes: SizesDocument
    keepers: tuple[Name, ...]
    kept: SizesDocument


class ProfileDocument(_Strict):
    """A whole profile; the fields are those of `ModelProfile`."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    model: Name
    mode: Mode
    precision: Name
    optimizer: Name | None
    device: Name
    parameters: Amount
    trainable_parameters: Amount
    image_size: Size | None
    sequence_limit: Size | None
    rung: Rung
    rung_reason: Prose
    notes: tuple[Prose, ...]
    versions: tuple[tuple[Name, Name], ...]
    module_parameters: tuple[tuple[Name, Amount], ...]
    batch_size: Size
    sequence_length: Size | None
    recordings: Annotated[tuple[RecordingDocument, ...], Field(min_length=1, max_length=2)]


def read_document(text: str | bytes, source: str) -> ProfileDocument:
    """Check JSON text against the schema.

    Raises
    ------
    DataError
        Naming the first place that breaks the schema.
    """
    try:
        found = pydantic_core.from_json(text, allow_inf_nan=False)
    except (TypeError, ValueError) as error:
        # TypeError: a text with half of a surrogate pair, which no UTF-8 file can hold.
        raise DataError(f"{source} is no JSON: {error}") from error
    if not isinstance(found, dict) or "schema" not in found:
        raise DataError(
            f"{source} is no flopcast profile: it has no 'schema'. Make one with: flopcast profile MODEL -o FILE"
        )
    if found["schema"] != SCHEMA:
        raise DataError(
            f"{source} has schema {found['schema']!r}; this flopcast reads {SCHEMA}. Profile the model again"
        )
    try:
        return ProfileDocument.model_validate_json(text)
    except ValidationError as error:
        raise DataError(f"{source} is no sound profile: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(str(part) for part in details[0]["loc"])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where}: {details[0]['msg']}{more}"
