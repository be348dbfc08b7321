"""What fused software leaves of recorded operations: activations written out in steps, and masks of attention.

A library for language models has one kernel for an activation that a model's own definition computes in ten operations
(GELU by tanh: Megatron-LM, fused_bias_gelu), each of which the record reads from memory and writes to it.

PyTorch takes a sliding window as a mask of all queries by all keys and computes all pairs; fused kernels are told the
window and leave out what lies outside (FlashAttention 2, window_size; splash attention, LocalMask). How many tokens
each layer looks back stands in the model's configuration.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from estimator.memory.windows import configuration_of, windows_of
from estimator.parallel.blocks import places_of
from estimator.parallel.layout import layout_of
from estimator.timing.work import ELEMENT_BYTES

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from profiles.growth import Integers
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording
    from profiles.records import Operation
    from profiles.tables import OperationTable

MASK_BYTES: Final = dict(ELEMENT_BYTES) | {"bool": 1}
CHAINED: Final = ("elementwise", "activation")


def without_masks(table: OperationTable, profile: ModelProfile) -> OperationTable:
    """Return a table with windows inside of the kernels: only pairs of query and key inside of them, and no mask."""
    pairs, left = _shares(profile)
    if (pairs == 1.0).all():
        return table
    columns: dict[str, Any] = {
        "executed_flops": (table.executed_flops * pairs).astype(np.int64),
        "bytes_read": (table.bytes_read * left).astype(np.int64),
    }
    return replace(table, **columns)


def with_chains(table: OperationTable, profile: ModelProfile) -> OperationTable:
    """Return a table where chains of element-wise operations of one module move what the largest of them does."""
    left = _chained(profile.trace.current)
    if left.all():
        return table
    return replace(table, bytes_read=table.bytes_read * left, bytes_written=table.bytes_written * left)


@lru_cache(maxsize=64)
def _chained(recording: Recording) -> Integers:
    """Return 1 for operations that still move memory, 0 for those inside of a chain."""
    chains: dict[tuple[str, str], list[int]] = {}
    for row, operation in enumerate(recording.operations):
        if operation.family in CHAINED and operation.engine != "matrix" and operation.phase != "optimizer":
            chains.setdefault((operation.module, operation.phase), []).append(row)
    left = np.ones(len(recording.operations), dtype=np.int64)
    for rows in chains.values():
        largest = max(rows, key=lambda row: recording.operations[row].bytes_moved)
        left[[row for row in rows if row != largest]] = 0
    return left


@lru_cache(maxsize=256)
def _shares(profile: ModelProfile) -> tuple[Floats, Floats]:
    """Share of its pairs that each operation computes, and of its bytes that it reads."""
    operations = profile.trace.current.operations
    pairs, left = np.ones(len(operations)), np.ones(len(operations))
    configuration = configuration_of(profile.model)
    if configuration is None:
        return pairs, left
    windows = windows_of(configuration, layout_of(profile).blocks.count)
    for row, operation in enumerate(operations):
        mask_bytes = _mask_bytes(operation)
        inside = [windows[index[-1]] for _, index in places_of(operation.module) if index[-1] < len(windows)]
        if mask_bytes and inside and all(inside):
            pairs[row] = float(np.mean([_share_inside(operation, each or 0) for each in inside]))
            left[row] = max(0.0, 1.0 - mask_bytes / max(1, operation.bytes_read))
    return pairs, left


def _mask_bytes(operation: Operation) -> int:
    """Bytes of the mask of a fused attention; 0 of other operations."""
    sizes = dict(operation.dims)
    if operation.family != "attention" or "m" not in sizes or "n" not in sizes:
        return 0
    masks = [each for each in operation.inputs[3:] if each.shape[-2:] == (sizes["m"], sizes["n"])]
    return sum(each.storage_elements * MASK_BYTES.get(each.dtype, 2) for each in masks)


def _share_inside(operation: Operation, window: int) -> float:
    """Share of all pairs of query and key that are not in the future and at most `window` tokens back."""
    sizes = dict(operation.dims)
    queries, keys = sizes["m"], sizes["n"]
    window = min(window, keys)
    return (math.comb(window + 1, 2) + (queries - window) * window) / (queries * keys) if window <= queries else 1.0
