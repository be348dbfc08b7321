"""What training in float8 keeps beside 16-bit weights: 8-bit copies of those of linear layers, and past maxima.

Transformer Engine casts a weight to 8 bits and keeps it with its transpose for the backward pass, two bytes a
parameter on Hopper and in MXFP8 (github.com/NVIDIA/TransformerEngine/issues/1880, 1261); delayed scaling keeps the
maxima of 1,024 steps of each of five tensors of a layer (issue 257; docs.nvidia.com, Transformer Engine,
DelayedScaling). What layers keep for the backward pass is counted in 16 bits, an upper end: inputs of products are kept
in 8 (issue 1764).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from profiles.layers import layer_count

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording

FLOAT8: Final = "float8"
COPIES: Final = 2
"""Bytes of a weight besides: itself and its transpose."""

MAXIMA_BYTES: Final = 5 * 1024 * 4
"""Of a layer: float32 maxima of 1,024 steps of input, weight and output, and of two gradients."""


def eight_bit_bytes(profile: ModelProfile) -> int:
    """Return the bytes of 8-bit copies and maxima of a training step; 0 in other precisions and without gradients."""
    if profile.mode != "train":
        return 0
    weights, layers = _eight_bit_weights(profile.trace.current)
    return COPIES * weights + MAXIMA_BYTES * layers


@lru_cache(maxsize=64)
def _eight_bit_weights(recording: Recording) -> tuple[int, int]:
    """Weights of the linear layers that multiply in 8 bits, and how many such layers there are."""
    found: dict[str, int] = {}
    for operation in recording.operations:
        if operation.precision == FLOAT8 and operation.family == "matmul" and operation.phase == "forward":
            dims = dict(operation.dims)
            found[operation.module] = dims["n"] * dims["k"]
    counts = {module: layer_count(module) for module in found}
    return sum(size * counts[module] for module, size in found.items()), sum(counts.values())
