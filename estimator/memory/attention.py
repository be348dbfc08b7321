"""What a fused attention kernel (flash, memory-efficient) does not keep of attention written out as products.

Written out, attention keeps scores and weights of queries by keys, whose bytes grow with the square of the sequence; a
fused kernel computes them again tile by tile and keeps one number per query instead (Dao et al., 2022,
arXiv:2205.14135, section 3.1). So what goes is the part of the recorded polynomials that is of second degree in the
sequence; the numbers per query that come instead are left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimator.memory.moments import ACTIVATION, outline_of

if TYPE_CHECKING:
    from profiles.growth import SizePolynomials
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

Floats = NDArray[np.float64]
Size = tuple[int, int | None]

_READ = 3
"""Place of the bytes read among the numbers of an operation (`profiles.operation_trace.numbers_of`)."""


def written_out(profile: ModelProfile) -> bool:
    """Whether attention runs as products and a softmax of queries by keys, with no fused kernel anywhere."""
    fused = any(operation.family == "attention" for operation in profile.operations)
    return not fused and bool(squared_operations(profile.trace.current, "softmax").any())


def squared_activations(profile: ModelProfile) -> Floats:
    """Return (moments,) bytes of activations that grow with the square of the sequence."""
    recording = profile.trace.current
    values = _squared(recording.timeline.sizes, (profile.batch_size, profile.sequence_length))
    found: Floats = values[outline_of(recording).rows[:, ACTIVATION]]
    return found


def squared_kept(recording: Recording, size: Size) -> Floats:
    """Return (keepers,) bytes kept for the backward pass that grow with the square of the sequence."""
    return _squared(recording.timeline.kept, size)


@lru_cache(maxsize=64)
def squared_operations(recording: Recording, family: str | None = None) -> NDArray[np.bool_]:
    """Return (operations,): which multiply nothing and read bytes that grow so; of one family, or of any."""
    rows = np.array([slots[_READ] for slots in recording.slots], dtype=np.intp)
    grows = _grows(recording.sizes)[rows]
    kinds = [op.engine != "matrix" and family in (None, op.family) for op in recording.operations]
    found: NDArray[np.bool_] = grows & np.array(kinds, dtype=np.bool_)
    return found


def _of_second_degree(table: SizePolynomials) -> NDArray[np.bool_]:
    return np.array([sum(lengths) >= 2 for _, *lengths in table.monomials], dtype=np.bool_)


def _grows(table: SizePolynomials) -> NDArray[np.bool_]:
    coefficients = np.array(table.coefficients, dtype=np.float64).reshape(-1, len(table.monomials))
    found: NDArray[np.bool_] = np.any(coefficients[:, _of_second_degree(table)] > 0, axis=1)
    return found


def _squared(table: SizePolynomials, size: Size) -> Floats:
    coefficients = np.array(table.coefficients, dtype=np.float64).reshape(-1, len(table.monomials))
    powers = np.array(table.powers(*size), dtype=np.float64) * _of_second_degree(table)
    found: Floats = coefficients @ powers / np.array(table.denominators, dtype=np.float64)
    return found
