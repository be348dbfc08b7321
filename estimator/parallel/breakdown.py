"""What the time of a step goes to, and what binds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.parallel.passes import SIDE_BY_SIDE_ORDER
from estimator.timing import BOUNDS, side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from estimator.parallel.blocks import Floats
    from estimator.parallel.prepared import Prepared
    from estimator.parallel.stage_ends import StageEnds
    from estimator.parallel.values import Triple
    from estimator.ranges import Range

COMMUNICATION: Final = ("tensor parallel", "expert parallel", "context parallel", "parameter gathering", "gradients")
"""Parts of a step that are exposed collectives."""

WAITING: Final = ("bubble", "stragglers")
"""Parts of a step in which a device waits for the schedule or for slower ones."""

BUCKETS: Final = (*BOUNDS, "network", "waiting")
"""What the time of a step is bound by."""


def parts_of(plan: Prepared, stage: int, mine: StageEnds) -> dict[str, Triple]:
    """Return the seconds of a stage by what they go to; what gathering, the host or the schedule add is the rest."""
    costs, owned = plan.costs, plan.owned(stage)

    def seconds(*values: Floats) -> Triple:
        total: Triple = plan.micro_batches * np.add.reduce([each[:, owned].sum(axis=1) for each in values])
        return total

    parts = {
        "forward": seconds(costs.forward),
        "backward": seconds(costs.backward),
        "recomputation": seconds(plan.passes.again),
        "tensor parallel": seconds(costs.tensor_forward, costs.tensor_backward),
        "expert parallel": seconds(costs.expert_forward, costs.expert_backward),
        "context parallel": seconds(costs.context_forward, costs.context_backward),
    }
    passes = mine.busy - mine.optimizer - mine.adding
    parts["parameter gathering"] = passes - np.add.reduce(list(parts.values()))
    together = side_by_side(passes, mine.host, SIDE_BY_SIDE_ORDER) if plan.split.pipeline_parallel > 1 else mine.finish
    parts["host"] = together - passes
    parts["bubble"] = mine.finish - together
    return parts | {"gradients": mine.exposed, "accumulation": mine.adding, "optimizer": mine.optimizer}


def buckets_of(plan: Prepared, stage: int, parts: Mapping[str, Range]) -> dict[str, float]:
    """Return middle seconds of a step by what binds.

    Recomputation counts as the forward pass that it repeats, the optimizer as memory.
    """
    owned = plan.owned(stage)
    sums = dict(zip(BOUNDS, (plan.micro_batches * plan.costs.buckets[:, owned].sum(axis=1)).tolist(), strict=True))
    passes = sum(sums.values())
    again = parts["recomputation"].mid / passes if passes else 0.0
    found = {name: seconds * (1 + again) for name, seconds in sums.items()}
    found["memory"] += parts["accumulation"].mid + parts["optimizer"].mid
    found["launch"] += parts["host"].mid
    found["network"] = sum(parts[name].mid for name in COMMUNICATION)
    found["waiting"] = sum(parts[name].mid for name in WAITING)
    return found
