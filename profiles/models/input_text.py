"""Inputs written by the user: `--input 8x3x224x224`, `--input int64:8x1024`, `--input ids=int64:8x128`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError
from profiles.models.definition import Arguments

if TYPE_CHECKING:
    import torch

_SIZE = "[0-9]{1,12}"
_FORM = re.compile(rf"^(?:(?P<name>[A-Za-z_]\w*)=)?(?:(?P<dtype>[a-z]+[0-9]*):)?(?P<shape>{_SIZE}(x{_SIZE})*|scalar)$")
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One tensor: shape, type, and the argument's name (None: by position)."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str | None = None

    def make(self, batch: int | None = None, sequence: int | None = None) -> torch.Tensor:
        """Make the tensor, with another batch (first) or sequence (second dimension of integers) where given."""
        import torch

        from profiles.models.tensors import floats

        shape = list(self.shape)
        if batch is not None and shape:
            shape[0] = batch
        if sequence is not None and self.is_token_ids:
            shape[1] = sequence
        if self.dtype.startswith(("float", "bfloat")):
            made = floats(*shape)
            return made if self.dtype == "float32" else made.to(getattr(torch, self.dtype))
        return torch.zeros(shape, dtype=getattr(torch, self.dtype), device="cpu")

    @property
    def is_token_ids(self) -> bool:
        """Whether this looks like ids [batch, sequence]."""
        return self.dtype in ("int64", "int32") and len(self.shape) == 2


def parse_input(text: str) -> InputSpec:
    """Read one input; raises UsageError for anything but [name=][dtype:]sizes joined by x.

    >>> parse_input("int64:8x1024").shape
    (8, 1024)
    """
    match = _FORM.match(text.strip().replace("×", "x"))
    if match is None:
        raise UsageError(f"{text!r} is no input; expected sizes such as 8x3x224x224, or with a type int64:8x1024")
    dtype = match["dtype"] or "float32"
    if dtype not in DTYPES:
        raise UsageError(f"{text!r} has the unknown type {dtype!r}; expected one of {', '.join(DTYPES)}")
    shape = () if match["shape"] == "scalar" else tuple(int(size) for size in match["shape"].split("x"))
    if 0 in shape:
        raise UsageError(f"{text!r} has a size of 0; every size must be 1 or more")
    return InputSpec(shape, dtype, match["name"])


def parse_inputs(texts: str | Sequence[str]) -> tuple[InputSpec, ...]:
    """Read several inputs, as a list or one text with commas. Raises UsageError."""
    parts = texts.split(",") if isinstance(texts, str) else [part for text in texts for part in text.split(",")]
    return tuple(parse_input(part) for part in parts)


def arguments(specs: Sequence[InputSpec], batch: int | None = None, sequence: int | None = None) -> Arguments:
    """Make the tensors: those without a name by position, the others by name."""
    args = tuple(spec.make(batch, sequence) for spec in specs if spec.name is None)
    kwargs: dict[str, Any] = {spec.name: spec.make(batch, sequence) for spec in specs if spec.name is not None}
    return args, kwargs
