"""What layers keep of each token, and how large a kept number is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hardware_db.errors import UsageError
from hardware_db.units import parse_precision, product_precision

if TYPE_CHECKING:
    from estimator.memory.recurrent import RecurrentState

ELEMENT_BYTES: Final[Mapping[str, float]] = {
    "float64": 8,
    "float32": 4,
    "tf32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8": 1,
    "int8": 1,
    "int4": 0.5,
}
"""Bytes of an element by the precision it is kept in; scales of quantised caches are not counted."""


@dataclass(frozen=True, slots=True)
class CachedLayers:
    """Equal layers that keep something of each token.

    Attributes
    ----------
    module
        path of their attention, folded
    layers
        how many
    heads
        heads with keys and values of their own; 1 for a latent that all heads share
    elements
        numbers that one layer keeps of one token, all heads together
    window
        most tokens that a layer keeps; None: all
    source_tokens
        tokens of the encoder that cross attention keeps whatever is written; None for self attention
    """

    module: str
    layers: int
    heads: int
    elements: int
    window: int | None = None
    source_tokens: int | None = None

    def tokens(self, context_length: int, block_tokens: int = 1) -> int:
        """Return how many tokens of a sequence a layer keeps, filled up to whole blocks."""
        kept = self.source_tokens
        if kept is None:
            kept = min(context_length, self.window or context_length)
        return math.ceil(kept / block_tokens) * block_tokens

    def elements_of(self, tensor_parallel: int) -> int:
        """Return the numbers that one of so many devices keeps: no head is divided, all devices keep a latent."""
        return self.elements // self.heads * math.ceil(self.heads / tensor_parallel)


@dataclass(frozen=True, slots=True)
class KvCache:
    """What a model keeps of each token.

    Attributes
    ----------
    parts
        its layers
    precision
        in which keys and values are kept unless another is asked for
    notes
        what the reader should know
    state
        what recurrent layers keep of a sequence whatever its length, in the model's own precision and float32
    """

    parts: tuple[CachedLayers, ...]
    precision: str
    notes: tuple[str, ...] = ()
    state: RecurrentState | None = None

    @property
    def elements_per_token(self) -> int:
        """Numbers kept of a token that all layers look back to, all layers together."""
        return sum(part.layers * part.elements for part in self.parts if part.source_tokens is None)


def element_bytes(precision: str) -> float:
    """Return the bytes of a number kept in a precision; mixed precision keeps the half type.

    Raises
    ------
    UsageError
        the precision has no size here
    """
    name = product_precision(parse_precision(precision))
    if name not in ELEMENT_BYTES:
        raise UsageError(f"A cache cannot be kept in {precision}. Use one of: {', '.join(ELEMENT_BYTES)}")
    return ELEMENT_BYTES[name]
