"""The repeated layers of a model as activation checkpointing sees them: what each keeps, what goes in, when it runs.

A block begins in the forward pass with its first moment and is done after its last; the backward pass returns to it
later. In between, what it keeps for the backward pass is alive. Checkpointing frees that, except for the block's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.memory.attention import squared_kept
from estimator.memory.moments import BACKWARD, FORWARD, outline_of
from profiles.layers import layer_indices, split_path

if TYPE_CHECKING:
    from profiles.growth import SizePolynomials
    from profiles.model_profile import ModelProfile
    from profiles.operation_trace import Recording
    from profiles.records import Operation

DEEPEST: Final = 3
"""How many indices of a path may name a block: "layers.1.blocks.3" has two."""

_CAST: Final = "aten._to_copy"
_BYTES: Final = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex64": 8, "int64": 8, "int32": 4}


@dataclass(frozen=True, eq=False)
class Blocks:
    """Repeated layers in the order in which they first run; arrays have one entry for each.

    Attributes
    ----------
    names
        module paths
    done, back
        number of the last moment of each in the forward pass, and of the first in the backward pass
    keeping, cheap
        (blocks, keepers) share of what each of the profile's keepers keeps that falls to the block; `cheap` only of
        those that multiply no matrices
    inputs
        row of the sizes, and bytes of an element, of what goes into each block first
    copied
        whether that is cast at once, so that the block itself does not keep it
    members
        (blocks, operations) share of the calls of each operation that falls to the block, forward pass only
    """

    names: tuple[str, ...]
    done: NDArray[np.intp]
    back: NDArray[np.intp]
    keeping: NDArray[np.float64]
    cheap: NDArray[np.float64]
    inputs: NDArray[np.intp]
    copied: NDArray[np.bool_]
    members: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockBytes:
    """Bytes of each block at one size: all it keeps, the part that is cheap to compute again, and its input."""

    kept: NDArray[np.float64]
    cheap: NDArray[np.float64]
    inputs: NDArray[np.float64]


def bytes_of(blocks: Blocks, profile: ModelProfile, fused_attention: bool = False) -> BlockBytes:
    """Return what each block keeps at the size of a profile, with attention as recorded or as a fused kernel."""
    return _bytes_at(blocks, profile.trace.current, (profile.batch_size, profile.sequence_length), fused_attention)


@lru_cache(maxsize=64)
def _bytes_at(blocks: Blocks, recording: Recording, size: tuple[int, int | None], fused: bool) -> BlockBytes:
    keepers = recording.timeline.kept.at(*size).astype(np.float64)
    if fused:
        keepers = keepers - squared_kept(recording, size)
    rows, width = blocks.inputs.T
    inputs = recording.sizes.at(*size)[rows].astype(np.float64) * width
    return BlockBytes(blocks.keeping @ keepers, blocks.cheap @ keepers, inputs)


def alive_in(blocks: Blocks, moments: int) -> NDArray[np.bool_]:
    """Return (moments, blocks): whether a moment lies between a block's forward and its backward pass."""
    at = np.arange(moments)[:, None]
    return (blocks.done < at) & (at < blocks.back)


def all_blocks(recording: Recording) -> tuple[Blocks, ...]:
    """Return the ways to take a model apart into blocks: by the first index of a path, by the first two, ..."""
    found = (blocks_at(recording, depth) for depth in range(1, DEEPEST + 1))
    return tuple(blocks for blocks in found if len(blocks.names) > 1)


@lru_cache(maxsize=128)
def blocks_at(recording: Recording, depth: int) -> Blocks:
    """Return the blocks that the first `depth` indices of a path name."""
    entries = _entries(recording, depth)
    spans = _spans(recording, depth)
    names = tuple(name for name in spans if name in entries)
    timeline = recording.timeline
    matrix = {split_path(op.module)[0] for op in recording.operations if op.engine == "matrix"}
    keeping = _shares([(path, 1) for path in timeline.keepers], names, depth)
    cheap = keeping * np.array([split_path(path)[0] not in matrix for path in timeline.keepers], dtype=np.float64)
    forward = [(op.module, int(op.phase == "forward")) for op in recording.operations]
    return Blocks(
        names,
        np.array([spans[name][0] for name in names], dtype=np.intp),
        np.array([spans[name][1] for name in names], dtype=np.intp),
        keeping,
        cheap,
        np.array([entries[name][:2] for name in names], dtype=np.intp).reshape(-1, 2),
        np.array([entries[name][2] for name in names], dtype=np.bool_),
        _shares(forward, names, depth),
    )


@lru_cache(maxsize=1 << 14)
def block_names(path: str, depth: int) -> tuple[str, ...]:
    """Return the blocks that a module path lies in: "h.[0-1].mlp" in "h.0" and "h.1"; none where it has fewer indices.

    Examples
    --------
    >>> block_names("stages.[0-1].blocks.2.mlp", 2)
    ('stages.0.blocks.2', 'stages.1.blocks.2')
    """
    components = path.split(".")
    places = [at for at, component in enumerate(components) if layer_indices(component) is not None]
    if len(places) < depth:
        return ()
    head = components[: places[depth - 1] + 1]
    return tuple(map(".".join, product(*(_choices(component) for component in head))))


def stack_of(recording: Recording) -> Blocks | None:
    """Return the layers of a model that is one stack of them; None where there are several stacks, or none."""
    blocks = blocks_at(recording, 1)
    stacks = {name.rpartition(".")[0] for name in blocks.names}
    return blocks if len(stacks) == 1 and len(blocks.names) > 1 else None


def _choices(component: str) -> tuple[str, ...]:
    layers = layer_indices(component)
    return (component,) if layers is None else tuple(map(str, layers))


def _spans(recording: Recording, depth: int) -> dict[str, tuple[int, int]]:
    """Return the blocks that run forward and backward: (last moment forward, first moment backward)."""
    outline = outline_of(recording)
    done: dict[str, int] = {}
    back: dict[str, int] = {}
    for at, (phase, module) in enumerate(zip(outline.phases.tolist(), outline.modules, strict=True)):
        for name in block_names(module, depth):
            if phase == FORWARD:
                done[name] = at
            elif phase == BACKWARD:
                back.setdefault(name, at)
    return {name: (done[name], back[name]) for name in done if name in back and done[name] < back[name]}


def _entries(recording: Recording, depth: int) -> dict[str, tuple[int, int, bool]]:
    """Return for each block the row of the size of its input, the bytes of an element of it, and whether it is cast."""
    found: dict[str, tuple[int, int, bool]] = {}
    for operation, slots in zip(recording.operations, recording.slots, strict=True):
        if operation.phase != "forward":
            continue
        missing = [name for name in block_names(operation.module, depth) if name not in found]
        if missing and (entry := _first_activation(operation, slots, recording.sizes)) is not None:
            found.update(dict.fromkeys(missing, (*entry, operation.operator == _CAST)))
    return found


def _first_activation(operation: Operation, slots: tuple[int, ...], sizes: SizePolynomials) -> tuple[int, int] | None:
    """Return (row of its number of elements, bytes of an element) of the first float input that grows with the batch.

    What does not grow is a parameter; of a profile at one size nothing grows, and the first input is taken.
    """
    at = 5 + len(operation.dims)
    candidates = []
    for tensor in operation.inputs:
        at += len(tensor.shape) + 1
        if tensor.dtype in _BYTES:
            candidates.append((slots[at - 1], _BYTES[tensor.dtype]))
    grown = [each for each in candidates if _grows(sizes, each[0])]
    return next(iter(grown or candidates), None)


def _grows(sizes: SizePolynomials, row: int) -> bool:
    pairs = zip(sizes.monomials, sizes.coefficients[row], strict=True)
    return any(coefficient and any(monomial) for monomial, coefficient in pairs)


def _shares(paths: list[tuple[str, int]], names: tuple[str, ...], depth: int) -> NDArray[np.float64]:
    """Return (blocks, paths): which part of a path's figure, times its weight, belongs to each block."""
    rows = {name: row for row, name in enumerate(names)}
    shares = np.zeros((len(names), len(paths)))
    for column, (path, weight) in enumerate(paths):
        inside = block_names(path, depth)
        for name in inside:
            if name in rows:
                shares[rows[name], column] += weight / len(inside)
    return shares
