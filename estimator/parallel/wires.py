"""Seconds of the collectives and messages inside a layer: tensor, expert and context parallel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.blocks import FIRST, LAST
from estimator.parallel.collectives import Line, all_gather, all_reduce, all_to_all, message
from estimator.parallel.ranks import Ranks
from estimator.parallel.roles import Role
from estimator.parallel.values import known, triple
from estimator.timing import streaming

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.costs import Setting
    from estimator.parallel.layout import Layout
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.sharding import Mask
    from hardware_db import Device
    from profiles.tables import OperationTable

ACTIVATION_BYTES: Final = {"float32": 4.0, "tf32": 4.0, "float64": 8.0}
"""Bytes of an activation on the wire; 2 for all other precisions."""


MERGED_BYTES: Final = 12
"""Bytes that merging a feature of attention moves: two float32 are read, one is written."""


@dataclass(frozen=True, eq=False)
class Wires:
    """Seconds of the collectives of one pass over each part, (3, parts).

    `merging` is what putting together the results for the keys of each device takes.
    """

    tensor: Floats
    expert: Floats
    context: Floats
    merging: Floats


def wires_of(layout: Layout, table: OperationTable, split: Parallelism, setting: Setting) -> Wires:
    """Return the collectives of one device's operations; the backward pass takes as many.

    Raises
    ------
    UsageError
        a link that is needed is unknown
    """
    if split.whole_layers:
        silent = np.zeros((3, len(layout.blocks.shares)))
        return Wires(silent, silent, silent, silent)
    ranks = Ranks(split, setting.network)
    forward = table.phase.mask("forward")
    sums = _payload(table, forward & (layout.role == Role.ROW)) + _edges(layout, table)
    routed = _payload(table, forward & (layout.role == Role.EXPERT_ROW))
    passed = _keys_and_values(layout, table, forward) / split.context_parallel
    per_part = layout.blocks.per_part
    calls = table.count.astype(np.float64)
    return Wires(
        tensor=per_part(np.minimum(*(_seconds(line, sums) for line in all_reduce(ranks.tensor))) * calls),
        expert=per_part(_routing_s(routed, split, ranks) * calls),
        context=per_part((split.context_parallel - 1) * _seconds(message(ranks.context), passed) * calls),
        merging=per_part((split.context_parallel - 1) * _merging_s(layout, table, setting.device) * calls),
    )


def _merging_s(layout: Layout, table: OperationTable, device: Device) -> Floats:
    """Seconds to merge the attention to the keys of one device into that to those before it, (3, operations).

    What was found so far is read, so is what comes in, and their weighted sum is written, in float32
    (TransformerEngine, context_parallel.py, flash_attn_fwd_out_correction).
    """
    one = streaming(1.0, device)
    rows = table.phase.mask("forward") & (layout.role == Role.HEADS) & table.family.mask("attention")
    results = np.where(rows, known(table.m * table.k * table.batch), 0.0)
    seconds: Floats = MERGED_BYTES * results * triple(one.low, one.mid, one.high)[:, None]
    return seconds


def _seconds(line: Line, payload: Floats) -> Floats:
    """Seconds of a collective of each operation, (3, operations); none where nothing is sent."""
    seconds: Floats = np.where(payload > 0, line.latency_s[:, None] + line.s_per_byte[:, None] * payload, 0.0)
    return seconds


def _payload(table: OperationTable, rows: Mask) -> Floats:
    """Bytes of the outputs of products."""
    elements = known(table.m * table.n * table.batch)
    return np.where(rows, elements * _activation_bytes(table), 0.0)


def _activation_bytes(table: OperationTable) -> Floats:
    return table.precision.map(dict.fromkeys(table.precision.names, 2.0) | ACTIVATION_BYTES)


def _edges(layout: Layout, table: OperationTable) -> Floats:
    """Bytes that embedding and head sum over the words that each device holds: one row of features a token each."""
    looked_up = table.family.mask("embedding") & table.phase.mask("forward") & (layout.blocks.shares[FIRST] > 0)
    head = (layout.role == Role.COLUMN) & (layout.blocks.shares[LAST] > 0) & table.phase.mask("forward")
    rows = known(table.m) * layout.width * _activation_bytes(table)
    edges: Floats = np.where(looked_up & bool(layout.vocabulary), table.bytes_written, 0.0) + np.where(head, rows, 0.0)
    return edges


def _routing_s(payload: Floats, split: Parallelism, ranks: Ranks) -> Floats:
    """Seconds to send rows to their experts and back; where experts are split, their devices gather the rows first."""
    shared = split.expert_tensor_parallel
    sent = _seconds(all_to_all(ranks.expert), payload / shared)
    gathered = _seconds(all_gather(ranks.tensor), payload) if shared > 1 else 0.0
    seconds: Floats = 2 * (sent + gathered)
    return seconds


def _keys_and_values(layout: Layout, table: OperationTable, forward: Mask) -> Floats:
    """Bytes of the keys and values that an attention reads, those of grouped queries counted once."""
    rows = forward & (layout.role == Role.HEADS)
    value = np.where(table.family.mask("attention"), 2.0, 1.0)
    elements = known(table.n * table.k * table.batch) * value * layout.grouped
    return np.where(rows, elements * _activation_bytes(table), 0.0)
