"""Parameters of each part of a model, by how a split divides them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from estimator.parallel.blocks import FIRST, LAST, places_of
from estimator.parallel.layout import Layout, layout_of
from estimator.parallel.roles import Role
from profiles.layers import split_path

if TYPE_CHECKING:
    from estimator.parallel.blocks import Floats
    from estimator.parallel.parallelism import Parallelism
    from profiles.model_profile import ModelProfile

SPLIT = (Role.COLUMN, Role.ROW)


@dataclass(frozen=True, eq=False)
class Weights:
    """Numbers of parameters of each part of a model: (parts,) arrays.

    Attributes
    ----------
    split
        of linear layers and word tables that tensor parallelism divides
    whole
        of norms, routers and others that every device of a tensor-parallel group keeps
    experts
        of experts
    tied
        parameters of the word table where embedding and head share it, else 0: a pipeline keeps it at both ends
    trained
        share of the parameters that are trained
    """

    split: Floats
    whole: Floats
    experts: Floats
    tied: int
    trained: float

    def dense_of(self, parallel: Parallelism) -> Floats:
        """Return the parameters outside of experts that one device keeps of each part."""
        kept: Floats = self.split / parallel.tensor_parallel + self.whole
        if parallel.pipeline_parallel > 1:
            kept[LAST] += self.tied / parallel.tensor_parallel
        return kept

    def experts_of(self, parallel: Parallelism) -> Floats:
        """Return the parameters of experts that one device keeps of each part."""
        kept: Floats = self.experts / (parallel.expert_parallel * parallel.expert_tensor_parallel)
        return kept


@lru_cache(maxsize=64)
def weights_of(profile: ModelProfile) -> Weights:
    """Sort the parameters of a profile by part and by how they are divided."""
    layout = layout_of(profile)
    sums = np.zeros((3, layout.blocks.count + 2))
    parts = _parts(layout)
    for path, size in profile.module_parameters:
        role = layout.weights.get(split_path(path)[0], Role.REPLICATED)
        row = 2 if role >= Role.EXPERT else 0 if role in SPLIT else 1
        found = places_of(path)
        for place in found:
            sums[row, parts.get(place, FIRST)] += size / len(found)
        if not found:
            sums[row, _outside(layout, path)] += size
    missing = profile.parameters - sums.sum()
    sums[1, FIRST] += max(0.0, missing)
    trained = profile.trainable_parameters / profile.parameters if profile.parameters else 0.0
    return Weights(sums[0], sums[1], sums[2], _tied(profile, layout), trained)


def _parts(layout: Layout) -> dict[tuple[str, tuple[int, ...]], int]:
    return {places_of(name)[0]: part for part, name in enumerate(layout.blocks.names, start=1)}


def _outside(layout: Layout, path: str) -> int:
    """Part of a module outside of layers: after them if its operations run there."""
    shares = layout.blocks.shares
    rows = [row for row, pattern in enumerate(layout.products.patterns) if pattern == path]
    return LAST if rows and shares[LAST, rows].sum() > shares[FIRST, rows].sum() else FIRST


def _tied(profile: ModelProfile, layout: Layout) -> int:
    """Parameters that the head shares with the embedding: its product is there, but it owns none."""
    owned = dict(profile.module_parameters)
    for row in layout.blocks.operations_of(LAST).tolist():
        operation = layout.products.operations[row]
        if operation.phase == "forward" and layout.role[row] == Role.COLUMN and not owned.get(operation.module):
            return layout.vocabulary * layout.width
    return 0
