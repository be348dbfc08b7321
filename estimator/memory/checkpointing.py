"""What activation checkpointing frees at every moment of a step, and which operations it computes again.

At a moment between a block's forward and backward pass, checkpointing has freed what the block keeps, except for its
input. While a block is computed again in the backward pass, all it keeps is alive, as without checkpointing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from estimator.memory.blocks import BlockBytes, Blocks, all_blocks, bytes_of, stack_of
from estimator.memory.parameters import parameter
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.memory.settings import MemorySettings
    from profiles.model_profile import ModelProfile

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Freed:
    """What is freed.

    Attributes
    ----------
    activations
        (moments,) bytes less than without checkpointing
    again
        (operations,) how often each operation runs once more
    blocks
        names of the blocks that are checkpointed
    """

    activations: Floats
    again: Floats
    blocks: tuple[str, ...]


def freed_by(profile: ModelProfile, settings: MemorySettings, live: Floats) -> Freed:
    """Return what checkpointing (and offloading of activations) frees; of several ways to cut, the one that frees most.

    Parameters
    ----------
    profile
        at the size wanted
    settings
        how much is checkpointed
    live
        (moments,) bytes alive without it

    Raises
    ------
    UsageError
        The model has no repeated layers, or the profile does not say what its modules keep.
    """
    ways = [blocks for blocks in all_blocks(profile.trace.current) if _has(blocks, settings)]
    if not ways and settings.checkpointed_blocks:
        names = ", ".join(name for name, _ in settings.checkpointed_blocks[:3])
        raise UsageError(f"{profile.model} has no repeated layers of these names: {names}")
    if not ways:
        raise UsageError(f"{profile.model} has no repeated layers that are recorded: nothing to checkpoint or offload")
    found = [_freed(profile, blocks, settings, len(live)) for blocks in ways]
    return min(found, key=lambda way: float((live - way.activations).max()))


def _has(blocks: Blocks, settings: MemorySettings) -> bool:
    return {name for name, _ in settings.checkpointed_blocks} <= set(blocks.names)


def freed_by_compiler(profile: ModelProfile, moments: int) -> Floats:
    """Return (moments,) bytes that compiled layers do not keep; zero for models without repeated layers.

    A compiler keeps of a layer what its products need and computes what is cheap again on the way back (the min-cut
    partitioner of torch.compile, torch/_functorch/partitioners.py); which share of the cheap, is measured.
    """
    share = parameter("compiled", ()).value.mid
    ways = [_alive_between(blocks, share * bytes_of(blocks, profile).cheap, moments) for blocks in _deepest(profile)]
    return ways[0] if ways else np.zeros(moments)


def kept_by_stack(profile: ModelProfile, moments: int) -> Floats:
    """Return (moments,) bytes that the layers of a model of one stack keep for the backward pass.

    Raises
    ------
    UsageError
        The model is not one stack of layers.
    """
    blocks = stack_of(profile.trace.current)
    if blocks is None:
        raise UsageError(f"{profile.model} is not one stack of layers: their number cannot be changed")
    return _alive_between(blocks, bytes_of(blocks, profile).kept, moments)


def _deepest(profile: ModelProfile) -> tuple[Blocks, ...]:
    """Return the one way to take the model apart whose blocks keep most."""
    ways = all_blocks(profile.trace.current)
    return tuple(sorted(ways, key=lambda blocks: -bytes_of(blocks, profile).kept.sum())[:1])


def _freed(profile: ModelProfile, blocks: Blocks, settings: MemorySettings, moments: int) -> Freed:
    each = bytes_of(blocks, profile, settings.fused_attention)
    full, selective = (_chosen(blocks, settings, how) for how in ("full", "selective"))
    saved = saved_of(each, "full") * full + saved_of(each, "selective") * selective
    if "activations" in settings.offloaded:
        saved = each.kept
    done = saved > 0
    matrix = profile.table().engine.mask("matrix")
    again = blocks.members[full & done].sum(axis=0) + blocks.members[selective & done].sum(axis=0) * ~matrix
    freed = _alive_between(blocks, saved, moments)
    freed -= _while_again(blocks, each.inputs * ((full | selective) & done & blocks.copied), moments)
    return Freed(freed, again, tuple(np.array(blocks.names)[done].tolist()))


def _chosen(blocks: Blocks, settings: MemorySettings, how: str) -> NDArray[np.bool_]:
    """Return which blocks are checkpointed this way."""
    if not settings.checkpointed_blocks:
        return np.full(len(blocks.names), settings.checkpointing == how)
    wanted = {name for name, mode in settings.checkpointed_blocks if mode == how}
    return np.array([name in wanted for name in blocks.names])


def saved_of(each: BlockBytes, how: str) -> Floats:
    """Return the bytes that checkpointing a block "full" or "selective" saves: what it keeps, less its input."""
    saved: Floats = np.maximum((each.kept if how == "full" else each.cheap) - each.inputs, 0.0)
    return saved


def _while_again(blocks: Blocks, inputs: Floats, moments: int) -> Floats:
    """Bytes of inputs that no block keeps by itself, and of the result as large, while a block is computed again."""
    found = np.zeros(moments)
    np.maximum.at(found, blocks.back, 2 * inputs)
    return found


def _alive_between(blocks: Blocks, saved: Floats, moments: int) -> Floats:
    """Sum what blocks save over the moments after their forward and before their backward pass."""
    change = np.zeros(moments + 1)
    np.add.at(change, blocks.done + 1, saved)
    np.add.at(change, blocks.back, -saved)
    return np.cumsum(change)[:moments]
