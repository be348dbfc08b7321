"""Which blocks to checkpoint so that a step fits a memory at the least time: an integer program, solved exactly.

    minimise    sum over blocks of the time to compute it again
    so that     at every moment: bytes alive - bytes freed <= what the memory leaves
    choices     of each block: kept, only what is cheap computed again ("selective"), all of it ("full")

What a block frees at each moment adds up over blocks (`estimator.memory.checkpointing`), so that this is linear. Where
all blocks are alike, as in most transformers, only how many are checkpointed each way is open, and all numbers are
tried; else it is solved by HiGHS (Huangfu and Hall, 2018, doi:10.1007/s12532-017-0130-5) through scipy. Selective
checkpointing as an integer program: Jain et al., 2020, arXiv:1910.02653.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.fit.costs import Costs, ratio
from estimator.memory.blocks import Blocks, alive_in, all_blocks, bytes_of
from estimator.memory.checkpointing import saved_of
from estimator.memory.holding import course_of, held_at_peak
from estimator.memory.need import MemoryNeed, need_of
from estimator.memory.overheads import overhead_of
from estimator.memory.settings import Checkpointing, MemorySettings
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.ranges import Range
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

Floats = NDArray[np.float64]
Choice = tuple[tuple[str, Checkpointing], ...]

WAYS: Final[tuple[Checkpointing, ...]] = ("full", "selective")
NODES: Final = 50
SECONDS: Final = 3.0
"""Longest search, in branches (most programs take fewer than 5) and time; what was found until then is taken."""

GAP: Final = 0.002
"""A choice that is no more than this share slower than the best possible is taken."""

EARLIER: Final = 1e-4
"""By how much of the mean cost a later block is dearer, so that of equal choices one is the best."""

TOLERANCE: Final = 1e-9
"""GiB that rounding may miss."""

ROUNDS: Final = 4
GIB: Final = 2.0**30


@dataclass(frozen=True, slots=True)
class CheapestBlocks:
    """The cheapest blocks to checkpoint.

    Attributes
    ----------
    blocks
        module path and "selective" or "full" of each; empty where none needs to be
    of
        blocks that there are
    settings, need
        how the step is then run, and what the device must hold
    time
        step time over that without checkpointing; None where it is unknown
    """

    blocks: Choice
    of: int
    settings: MemorySettings
    need: MemoryNeed
    time: Range | None


def cheapest_blocks(
    profile: ModelProfile,
    device: Device,
    budget_bytes: int | None = None,
    settings: MemorySettings | None = None,
    *,
    sure: bool = True,
) -> CheapestBlocks | None:
    """Return the blocks whose checkpointing fits a memory at the least time; None where no choice does.

    Parameters
    ----------
    profile
        a training step at the size wanted
    device
        one device as the framework counts it
    budget_bytes
        all that the step may take, context included; default the device's memory
    settings
        how the step is run besides; its own checkpointing is left out
    sure
        whether the upper end of the range must fit (nine cases of ten), not only the middle

    Raises
    ------
    UsageError
        the model has no repeated layers, or neither budget nor capacity is known

    Examples
    --------
    >>> found = cheapest_blocks(profile, database.device("l4"), 12 * 2**30)
    >>> len(found.blocks), found.of, found.time.mid
    (5, 12, 1.09)
    """
    plain = replace(settings or MemorySettings(), checkpointing="none", checkpointed_blocks=())
    budget = device.usable_memory_bytes if budget_bytes is None else budget_bytes
    if budget is None:
        raise UsageError(f"The memory of {device.id} is unknown: give a budget in bytes")
    question = _Question(profile, device, plain, budget, sure)
    target = question.target()
    for _ in range(ROUNDS):
        chosen = question.choose(target)
        if chosen is None:
            break
        found = question.answer(*chosen)
        excess = question.total(found.need) - budget
        if excess <= 0:
            return found
        target -= excess
    last = question.answer(*question.all_in_full())
    return last if question.total(last.need) <= budget else None


@dataclass(frozen=True)
class _Question:
    profile: ModelProfile
    device: Device
    settings: MemorySettings
    budget: int
    sure: bool

    def total(self, need: MemoryNeed) -> float:
        return need.total.high if self.sure else need.total.mid

    def need(self, settings: MemorySettings) -> MemoryNeed:
        held = held_at_peak(self.profile, settings)
        return need_of(held, overhead_of(self.device), self.device.usable_memory_bytes)

    def target(self) -> float:
        """Bytes of gradients and activations that the budget leaves."""
        end = "high" if self.sure else "mid"
        overhead = overhead_of(self.device)
        each = float(getattr(overhead.live_share, end)) * (1 + float(getattr(overhead.reserve_share, end)))
        peak = float(course_of(self.profile, self.settings).max())
        return peak - (self.total(self.need(self.settings)) - self.budget) / each

    def choose(self, target: float) -> tuple[Choice, int] | None:
        """Return the cheapest choice that stays below a target, and how many blocks there are; None where none does."""
        recording, course = self.profile.trace.current, course_of(self.profile, self.settings)
        if not all_blocks(recording):
            raise UsageError(f"{self.profile.model} has no repeated layers that are recorded: nothing to checkpoint")
        found = [self._cheapest(blocks, course, target) for blocks in all_blocks(recording)]
        known = [each for each in found if each is not None]
        return min(known, key=lambda each: each[2])[:2] if known else None

    def all_in_full(self) -> tuple[Choice, int]:
        """Return the choice that frees most, and how many blocks there are."""
        ways = all_blocks(self.profile.trace.current)
        most = max(ways, key=lambda blocks: float(bytes_of(blocks, self.profile).kept.sum()))
        return tuple((name, "full") for name in most.names), len(most.names)

    def _cheapest(self, blocks: Blocks, course: Floats, target: float) -> tuple[Choice, int, float] | None:
        each, count = bytes_of(blocks, self.profile, self.settings.fused_attention), len(blocks.names)
        alive = alive_in(blocks, len(course))
        again = np.zeros(alive.shape)
        again[blocks.back, np.arange(count)] = 2 * each.inputs * blocks.copied
        freed = np.hstack([alive * saved_of(each, how) - again for how in WAYS])
        wanted = course - target
        rows = np.flatnonzero(wanted + 2 * again.max(axis=1) > 0)
        seconds = self._seconds(blocks)
        told = np.array([*(saved_of(each, how) for how in WAYS), *seconds.reshape(2, count)])
        kinds = kinds_of(told)
        chosen = choose_alike if not kinds.any() else solve
        picked = chosen(seconds, freed[rows] / GIB, wanted[rows] / GIB)
        if picked is None:
            return None
        modes = earliest(picked.reshape(2, count), kinds)
        choice = tuple(
            (name, how) for at, name in enumerate(blocks.names) for row, how in enumerate(WAYS) if modes[row, at]
        )
        return choice, count, float(seconds @ picked)

    @cached_property
    def _costs(self) -> Costs:
        return Costs(self.profile, self.device)

    @cached_property
    def _again(self) -> tuple[Floats, Floats]:
        """(operations,) seconds that computing each again takes, of all and of those that multiply no matrices."""
        each = self._costs.marginal_seconds
        return each, each * ~self.profile.table().engine.mask("matrix")

    def _seconds(self, blocks: Blocks) -> Floats:
        """Seconds that computing each block again takes, in full and selectively."""
        return np.concatenate([blocks.members @ seconds for seconds in self._again])

    def answer(self, choice: Choice, of: int) -> CheapestBlocks:
        chosen = replace(self.settings, checkpointed_blocks=choice)
        time = ratio(self._costs.seconds(chosen), self._costs.seconds(self.settings))
        return CheapestBlocks(choice, of, chosen, self.need(chosen), time)


def solve(seconds: Floats, freed: Floats, wanted: Floats) -> NDArray[np.bool_] | None:
    """Return which of the choices are made, at the least sum of seconds; None where none frees what is wanted.

    Parameters
    ----------
    seconds
        (2 x blocks,) cost of each choice; the two choices of a block exclude each other
    freed
        (moments, 2 x blocks) what each frees at each moment
    wanted
        (moments,) what must be freed
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    number = len(seconds)
    if not (wanted > 0).any():
        return np.zeros(number, dtype=np.bool_)
    rows, least = _distinct(freed, wanted)
    blocks = number // 2
    once = np.hstack([np.eye(blocks), np.eye(blocks)])
    order = np.tile(np.arange(blocks) / blocks, 2) * EARLIER * seconds.mean()
    result = milp(
        seconds + order,
        integrality=np.ones(number, dtype=np.int64),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(rows, lb=least), LinearConstraint(once, ub=1)],
        options={"node_limit": NODES, "time_limit": SECONDS, "mip_rel_gap": GAP},
    )
    return None if result.x is None else result.x > 0.5


def choose_alike(seconds: Floats, freed: Floats, wanted: Floats) -> NDArray[np.bool_] | None:
    """Return what `solve` returns, of blocks that are all alike: the first of them in full, the next selectively.

    Which of equal blocks are checkpointed does not matter for the time, and the first free for longest (`earliest`).
    """
    number = len(seconds) // 2
    rows, least = _distinct(freed, wanted)
    full, selective = (
        np.hstack([np.zeros((len(rows), 1)), np.cumsum(part, axis=1)]) for part in (rows[:, :number], rows[:, number:])
    )
    first, then = np.nonzero(np.add.outer(np.arange(number + 1), np.arange(number + 1)) <= number)
    freed_then = full[:, first] + selective[:, first + then] - selective[:, first]
    enough = (freed_then >= least[:, None] - TOLERANCE).all(axis=0)
    if not enough.any():
        return None
    time = first * seconds[:number].mean() + then * seconds[number:].mean()
    best = int(np.where(enough, time, np.inf).argmin())
    at = np.arange(number)
    return np.concatenate([at < first[best], (first[best] <= at) & (at < first[best] + then[best])])


def kinds_of(told: Floats) -> NDArray[np.intp]:
    """Return (blocks,) numbers of kinds: blocks are alike where (figures, blocks) `told` agree to a millionth."""
    highest = np.maximum(np.abs(told).max(axis=1, keepdims=True), 1e-30)
    _, kinds = np.unique(np.round(told / highest, 6), axis=1, return_inverse=True)
    return np.asarray(kinds.reshape(-1), dtype=np.intp)


def earliest(modes: NDArray[np.bool_], kinds: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return the same choices with those of equal blocks moved to the first of them, "full" before "selective".

    A block that runs earlier forward is returned to later, so that it frees for longer: this never holds more.

    Parameters
    ----------
    modes
        (2, blocks) whether each is checkpointed in full, or selectively
    kinds
        (blocks,) equal numbers for blocks that are alike
    """
    moved = modes.copy()
    for kind in range(int(kinds.max()) + 1):
        places = np.flatnonzero(kinds == kind)
        moved[:, places] = modes[:, places[np.argsort(-(modes[:, places] * [[2], [1]]).sum(axis=0), kind="stable")]]
    return moved


def _distinct(freed: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Return each row once, with the most that is wanted of it."""
    rows, inverse = np.unique(freed, axis=0, return_inverse=True)
    least = np.full(len(rows), -np.inf)
    np.maximum.at(least, inverse.reshape(-1), wanted)
    return rows, least
