"""What each device must hold at the peak of a split step, stage by stage.

parameters + gradients + optimizer state (divided by ZeRO stage: Rajbhandari et al., 2020, table 1)
+ activations of the micro-batches in flight + working memory + gathered layers + allocator and context
+ in float8 the 8-bit copies of weights (see `estimator.memory.eight_bit`)
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.memory import overhead_of
from estimator.memory.eight_bit import eight_bit_bytes
from estimator.parallel.blocks import LAST
from estimator.parallel.pipeline import in_flight

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.prepared import Prepared

STAGE_OF: Final = {"optimizer": 1, "gradient": 2, "weight": 3}
"""What is divided -> ZeRO stage from which on it is."""


@dataclass(frozen=True, slots=True)
class StageMemory:
    """Bytes that one device of a pipeline stage holds at the peak, by what holds them."""

    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    activation_bytes: int
    working_bytes: int
    gathered_bytes: int
    copy_bytes: int
    overhead_bytes: int

    @property
    def total_bytes(self) -> int:
        """Everything together."""
        return sum(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, eq=False)
class StageUse:
    """What a stage holds of a model.

    Attributes
    ----------
    parts
        (parts,) 1 for the parts of the stage
    kept
        (parts,) activation bytes of each part and micro-batch
    alive
        micro-batches whose activations are alive at once
    working
        bytes alive besides
    gathered
        parameters gathered at once with ZeRO 3
    """

    parts: Floats
    kept: Floats
    alive: float
    working: float
    gathered: float


def memory_of(plan: Prepared, stage: int) -> StageMemory:
    """Return what one device of a stage holds."""
    split = plan.split
    mine = plan.owned(stage).astype(np.float64)
    sizes = (split.pipeline_parallel, split.virtual_pipeline, plan.micro_batches)
    passes = plan.micro_batches * split.virtual_pipeline if split.schedule == "gpipe" else in_flight(sizes, stage)
    full = split.activation_checkpointing == "full"
    kept = plan.kept.inputs if full else plan.kept.whole
    once = float((plan.kept.whole * mine)[1:LAST].max(initial=0.0)) if full else 0.0
    working = plan.kept.working if mine[LAST] else 0.0
    loads = plan.weights.dense_of(split) + plan.weights.experts_of(split)
    gathered = float(np.sort(loads[1:LAST])[-2:].sum() + loads[0] + loads[LAST])
    use = StageUse(mine, kept, passes / split.virtual_pipeline, max(once, working), gathered)
    return _held(plan, use)


def _held(plan: Prepared, use: StageUse) -> StageMemory:
    """Return what one device of a stage holds; `use` says which parts it has and how many micro-batches are alive."""
    split, each, weights = plan.split, plan.each, plan.weights
    dense, experts = float(use.parts @ weights.dense_of(split)), float(use.parts @ weights.experts_of(split))
    over = {name: _divided((dense, experts), split, name) for name in ("weight", "gradient", "optimizer")}
    activations = use.alive * float(use.parts @ use.kept)
    gathered = use.gathered * each.weight if split.zero_stage == 3 else 0.0
    held = (
        over["weight"] * each.weight,
        over["gradient"] * each.gradient * weights.trained,
        over["optimizer"] * each.optimizer * weights.trained,
        activations,
        use.working,
        gathered,
        _copies(plan, use.parts),
    )
    overhead = overhead_of(plan.setting.device)
    besides = overhead.context_bytes.mid + overhead.communicator_bytes.mid + overhead.reserve_share.mid * sum(held)
    return StageMemory(*(round(size) for size in (*held, besides)))


def _copies(plan: Prepared, mine: Floats) -> float:
    """8-bit copies of the weights of a device's layers, divided with them; embeddings and heads multiply in 16 bits."""
    whole, split, weights = eight_bit_bytes(plan.profile), plan.split, plan.weights
    if not whole:
        return 0.0
    inside = mine * np.array([0, *[1] * (len(mine) - 2), 0])
    layers = float(inside @ weights.dense_of(split)), float(inside @ weights.experts_of(split))
    every = float((weights.split + weights.whole + weights.experts)[1:LAST].sum())
    return whole * _divided(layers, split, "weight") / every if every else float(whole)


def _divided(parameters: tuple[float, float], split: Parallelism, what: str) -> float:
    """Parameters whose state of this kind one device keeps."""
    dense, experts = parameters
    if split.zero_stage < STAGE_OF[what]:
        return dense + experts
    return dense / split.shards + experts / min(split.expert_replicas, split.shards)
