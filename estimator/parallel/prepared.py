"""What the time and the memory of one split step are worked out from, put together once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from estimator.parallel.costs import PartCosts, Setting, part_costs
from estimator.parallel.layout import layout_of
from estimator.parallel.memory import BytesPerParameter, Kept, computes_in_halves, kept_of, layers_of
from estimator.parallel.passes import Passes, passes_of, with_copies
from estimator.parallel.ranks import Ranks
from estimator.parallel.running import TIMES
from estimator.parallel.sharding import check_heads, check_split
from estimator.parallel.stages import Owners, chunks_of
from estimator.parallel.sync import copies_of
from estimator.parallel.weights import Weights, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.sharding import Mask
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True, eq=False)
class Prepared:
    """What one step computes with."""

    profile: ModelProfile
    split: Parallelism
    setting: Setting
    micro_batches: int
    costs: PartCosts
    passes: Passes
    kept: Kept
    weights: Weights
    each: BytesPerParameter
    owners: Owners
    ranks: Ranks

    def owned(self, stage: int) -> Mask:
        """Return which parts belong to a stage, (parts,)."""
        mine: Mask = self.owners % self.split.pipeline_parallel == stage
        return mine


def prepare(profile: ModelProfile, split: Parallelism, setting: Setting, micro_batches: int) -> Prepared:
    """Put it together.

    Raises
    ------
    UsageError
        the split does not divide the model, or a link is unknown
    UnknownPrecision
        the device has no peak for a precision of the profile
    """
    layout = layout_of(profile)
    check_split(profile, layout, split)
    check_heads(profile, layout, split)
    costs, kept = pass_of_one(profile, split, setting)
    passes, weights = passes_of(costs, split, layers_of(layout)), weights_of(profile)
    each = BytesPerParameter.of(profile, split, setting.stack)
    if split.zero_stage == 3 and split.shards > 1 and setting.stack.copies_shards:
        loads = weights.dense_of(split) + weights.experts_of(split)
        passes = with_copies(passes, copies_of(loads, each, setting.device), costs.host_operation)
    return Prepared(
        profile=profile,
        split=split,
        setting=setting,
        micro_batches=micro_batches,
        costs=costs,
        passes=passes,
        kept=kept,
        weights=weights,
        each=each,
        owners=chunks_of(profile, (passes.forward + passes.backward)[1], split),
        ranks=Ranks(split, setting.network),
    )


def time_together(asked: Iterable[tuple[ModelProfile, Parallelism]], setting: Setting) -> None:
    """Work out at once, and faster than one by one, what `pass_of_one` will need of many micro-batches and splits."""
    TIMES.prepare(setting.run(profile, _inside(profile, split, setting)[0]) for profile, split in asked)


def _inside(profile: ModelProfile, split: Parallelism, setting: Setting) -> tuple[Parallelism, Parallelism]:
    """What of a split decides the costs of a pass, and what its memory."""
    inside = split.inside
    alike = replace(inside, zero_stage=0)
    halved = [computes_in_halves(profile, each, setting.stack) for each in (inside, alike)]
    return alike if halved[0] == halved[1] else inside, alike


def pass_of_one(profile: ModelProfile, split: Parallelism, setting: Setting) -> tuple[PartCosts, Kept]:
    """Return what a micro-batch costs and leaves on one device."""
    inside, alike = _inside(profile, split, setting)
    crowd = float(setting.routing.load(layout_of(profile), split.expert_parallel)[1])
    return _costs(profile, inside, setting), kept_of(profile, alike, setting.stack, crowd)


@lru_cache(maxsize=2048)
def _costs(profile: ModelProfile, inside: Parallelism, setting: Setting) -> PartCosts:
    return part_costs(profile, inside, setting)
