"""What a profile file may contain (schema 1), checked by msgspec before anything is computed from it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hardware_db.errors import DataError
from profiles.model_profile import SCHEMA, Mode
from profiles.records import Engine, Phase, Rung
from profiles.thresholds import EVERYWHERE

Name = Annotated[str, Meta(max_length=1000)]
Prose = Annotated[str, Meta(max_length=10_000)]
Slot = Annotated[int, Meta(ge=0, le=10**8)]
Size = Annotated[int, Meta(ge=1, le=10**9)]
Count = Annotated[int, Meta(ge=1, le=10**12)]
Amount = Annotated[int, Meta(ge=0, le=10**18)]
Power = Annotated[int, Meta(ge=0, le=4)]
Monomial = Annotated[tuple[Power, ...], Meta(min_length=3, max_length=5)]

MOST: int = 10**30
"""Bound of coefficients and denominators of polynomials; beyond 64 bits, so checked apart."""

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


class SizesDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of polynomials, see `SizePolynomials`."""

    monomials: tuple[Monomial, ...]
    coefficients: tuple[tuple[int, ...], ...]
    denominators: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse numbers that no trace has; the bounds do not fit in 64 bits, so that a type cannot say them."""
        if any(abs(each) > MOST for row in self.coefficients for each in row):
            raise ValueError(f"Expected coefficients up to {MOST:.0e}")
        if any(not 1 <= each <= MOST for each in self.denominators):
            raise ValueError(f"Expected denominators from 1 to {MOST:.0e}")


class RecordingDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One recording: `Recording` with tensors stored once."""

    runs: Annotated[tuple[tuple[Size, Size | None], ...], Meta(min_length=1, max_length=1000)]
    lengths: tuple[Size, Size | None] = EVERYWHERE
    but: Annotated[int, Meta(ge=0, le=10**6)] = 0
    sizes: SizesDocument
    tensors: tuple[tuple[Name, tuple[Slot, ...], Slot], ...]
    operations: tuple[OperationRow, ...]
    moments: tuple[Moment, ...]
    moment_sizes: SizesDocument
    keepers: tuple[Name, ...]
    kept: SizesDocument


class ImagesDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Images of other sizes; the fields are those of `ImageSizes`."""

    recordings: Annotated[tuple[RecordingDocument, ...], Meta(min_length=1, max_length=2)]
    modules: tuple[Name, ...]
    parameters: SizesDocument
    patches: SizesDocument


class ProfileDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole profile; the fields are those of `ModelProfile`."""

    schema: int
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
    recordings: Annotated[tuple[RecordingDocument, ...], Meta(min_length=1, max_length=8)]
    images: ImagesDocument | None = None


class _Head(msgspec.Struct):
    schema: object = None


_DECODER: Final = msgspec.json.Decoder(ProfileDocument)
_HEADS: Final = msgspec.json.Decoder(_Head)
"""Made when the module is imported, by one thread: two that make one at once end the interpreter (msgspec 0.22)."""


def read_document(text: str | bytes, source: str) -> ProfileDocument:
    """Check JSON text against the schema.

    Raises
    ------
    DataError
        Naming the first place that breaks the schema.
    """
    _check_head(text, source)
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is no sound profile: {error}") from error


def _check_head(text: str | bytes, source: str) -> None:
    try:
        head = _HEADS.decode(text)
    except msgspec.ValidationError:
        head = _Head()
    except (ValueError, RecursionError) as error:
        # A UnicodeError, which is a ValueError: a text with half of a surrogate pair, which no UTF-8 file can hold.
        raise DataError(f"{source} is no JSON: {error}") from error
    if head.schema is None:
        raise DataError(
            f"{source} is no flopcast profile: it has no 'schema'. Make one with: flopcast profile MODEL -o FILE"
        )
    if head.schema != SCHEMA:
        raise DataError(f"{source} has schema {head.schema!r}; this flopcast reads {SCHEMA}. Profile the model again")
