"""What one micro-batch leaves on a device, and the bytes of a parameter in each role.

What a layer keeps for the backward pass comes from the profile's own record of live bytes, divided as its modules are.
Fused layers keep less: inputs of products, results of column-parallel ones, inputs of norms, a mask of one byte for
each dropout (34 bytes a token and feature for GPT: Korthikanti et al., 2022, equation 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.memory.moments import ACTIVATION
from estimator.parallel.blocks import FIRST, LAST, places_of
from estimator.parallel.layout import Layout, layout_of
from estimator.parallel.roles import Role
from estimator.parallel.sharding import sharded_table
from estimator.parallel.values import known
from profiles.layers import split_path

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.stack import Stack
    from profiles.model_profile import ModelProfile
    from profiles.tables import OperationTable

MASTER_BYTES: Final = 4
HALF: Final = 2
AUTOCAST: Final = "amp_"
FEATURE_BYTES: Final = 2


@dataclass(frozen=True, eq=False)
class Kept:
    """Activation bytes of one micro-batch on one device.

    Attributes
    ----------
    whole
        (parts,) what each part keeps from the forward for the backward pass
    inputs
        (parts,) what it keeps where its layers are computed again: the input of each
    working
        the most that is alive besides
    """

    whole: Floats
    inputs: Floats
    working: float


@dataclass(frozen=True, slots=True)
class BytesPerParameter:
    """Bytes of a parameter in each role.

    `optimizer` includes the master copy of 16-bit weights, `wire` is a gradient in collectives, `widened` how many
    times as wide as recorded the optimizer works.
    """

    weight: float
    gradient: float
    optimizer: float
    wire: float
    widened: float = 1.0

    @classmethod
    def of(cls, profile: ModelProfile, split: Parallelism, stack: Stack) -> BytesPerParameter:
        """Read them from a profile; 16-bit weights get what the software keeps in float32 beside them."""
        weight = profile.memory.parameter_bytes / max(profile.parameters, 1)
        state = profile.memory.optimizer_state_bytes / max(profile.trainable_parameters, 1)
        gradient, wire = stack.kept_gradient_bytes, stack.wire_gradient_bytes
        if weight > HALF and computes_in_halves(profile, split, stack):
            return cls(HALF, gradient, state + weight, wire)
        if weight > HALF or not stack.keeps_masters:
            halved = stack.half_wire and profile.precision.startswith(AUTOCAST)
            return cls(weight, weight, state, HALF if halved else weight)
        wider = MASTER_BYTES / weight
        return cls(weight, gradient, state * wider + MASTER_BYTES, wire, wider)


def computes_in_halves(profile: ModelProfile, split: Parallelism, stack: Stack) -> bool:
    """Whether mixed precision that was recorded as autocast runs in 16-bit copies of the weights."""
    return profile.precision.startswith(AUTOCAST) and split.zero_stage in stack.half_weights


@lru_cache(maxsize=2048)
def kept_of(profile: ModelProfile, split: Parallelism, stack: Stack, crowd: float = 1.0) -> Kept:
    """Return what a micro-batch (the profile's batch) leaves on one device; `split` is that of its layers alone.

    `crowd` is how many times the mean of all devices the experts of this one have to do.
    """
    layout, table = layout_of(profile), sharded_table(profile, split)
    recorded, layers = _recorded(profile, layout, split, crowd), layers_of(layout)
    whole = np.where(layers, _fused(layout, table, split, crowd), recorded) if stack.fused_layers else recorded
    return Kept(whole, np.where(layers, _inputs(layout, table, split), recorded), _working(profile, split))


@lru_cache(maxsize=64)
def layers_of(layout: Layout) -> Floats:
    """Return 1 for parts that are layers whose products are known, 0 for others."""
    divided = [part in layout.walks and bool(layout.walks[part].linears) for part in range(layout.blocks.count + 2)]
    return np.array(divided, dtype=np.float64)


def _recorded(profile: ModelProfile, layout: Layout, split: Parallelism, crowd: float) -> Floats:
    """Bytes that the profile saw each part keep, divided as its modules are and over the parts of the sequence."""
    held = profile.trace.activation_bytes
    roles, parts = _holders(layout, tuple(held))
    own = np.fromiter(held.values(), dtype=np.float64, count=len(held)) * _role_shares(split, crowd)[roles]
    kept: Floats = own @ parts / split.context_parallel
    return kept


@lru_cache(maxsize=64)
def _holders(layout: Layout, paths: tuple[str, ...]) -> tuple[NDArray[np.intp], Floats]:
    """Role of what each module keeps, (modules,), and the share of it in each part, (modules, parts)."""
    parts = {places_of(name)[0]: part for part, name in enumerate(layout.blocks.names, start=1)}
    outside = outside_of(layout)
    roles = np.array([layout.results.get(split_path(path)[0], Role.REPLICATED) for path in paths], dtype=np.intp)
    shares = np.zeros((len(paths), layout.blocks.count + 2))
    for row, path in enumerate(paths):
        found = places_of(path)
        for place in found:
            shares[row, parts.get(place, FIRST)] += 1 / len(found)
        if not found:
            shares[row, outside.get(path, LAST)] = 1.0
    return roles, shares


def _role_shares(split: Parallelism, crowd: float) -> Floats:
    shares = np.ones(len(Role))
    shares[[Role.INSIDE, Role.HEADS, Role.EXPERT]] = 1 / split.tensor_parallel
    shares[Role.EXPERT :] *= crowd
    shares[Role.TOKENS] = 1 / split.tensor_parallel if split.sequence_parallel else 1.0
    return shares


@lru_cache(maxsize=64)
def outside_of(layout: Layout) -> dict[str, int]:
    """Return the part (before or after the layers) of every module outside of layers."""
    shares = layout.blocks.shares
    modules = {pattern: row for row, pattern in enumerate(layout.products.patterns) if shares[FIRST, row] > 0}
    return dict.fromkeys(modules, FIRST)


def _fused(layout: Layout, table: OperationTable, split: Parallelism, crowd: float) -> Floats:
    """Bytes that fused layers keep: around each pair the input of its norm and of its product, and a dropout mask."""
    elements = known(table.batch * table.m)
    forward = table.phase.mask("forward")
    opened = ((layout.role == Role.COLUMN) | (layout.role == Role.EXPERT_COLUMN)) & forward
    closed = ((layout.role == Role.ROW) | (layout.role == Role.EXPERT_ROW)) & forward
    inside = np.where(opened, known(table.n), 0.0) + np.where(closed, known(table.k), 0.0)
    dropped = _has_dropout(table)
    around = np.where(closed & (layout.role == Role.ROW), known(table.n), 0.0)
    spread = split.tensor_parallel if split.sequence_parallel else 1
    bytes_kept = elements * (inside * FEATURE_BYTES + around * (2 * FEATURE_BYTES + dropped) / spread)
    routed = np.where(closed & (layout.role == Role.EXPERT_ROW), elements * known(table.n) * FEATURE_BYTES, 0.0)
    crowded = np.where(layout.role >= Role.EXPERT, crowd, 1.0) * table.count.astype(np.float64)
    return layout.blocks.per_part((bytes_kept + routed) * crowded)


def _has_dropout(table: OperationTable) -> float:
    return float((table.family.mask("random") & table.phase.mask("forward")).any())


def _inputs(layout: Layout, table: OperationTable, split: Parallelism) -> Floats:
    """Bytes of the input of each layer: rows of its widest pair times its width."""
    rows = np.where((layout.role == Role.ROW) & table.phase.mask("forward"), known(table.m), 0.0)
    tokens = np.max(rows * (layout.blocks.shares > 0), axis=1, initial=0.0)
    spread = split.tensor_parallel if split.sequence_parallel else 1
    inputs: Floats = tokens * layout.width * FEATURE_BYTES / spread
    return inputs


def _working(profile: ModelProfile, split: Parallelism) -> float:
    """Bytes alive at the peak of forward and backward pass beyond what the forward pass keeps."""
    return _beyond_kept(profile) / (split.tensor_parallel * split.context_parallel)


@lru_cache(maxsize=256)
def _beyond_kept(profile: ModelProfile) -> float:
    kept = sum(profile.trace.activation_bytes.values())
    table = profile.trace.live
    passes = np.array([phase != "optimizer" for phase, _ in table.places], dtype=np.bool_)
    peak = int(table.live[passes, ACTIVATION].max(initial=0))
    return max(0.0, float(peak - kept))
