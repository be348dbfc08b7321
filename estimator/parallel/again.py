"""What of a checkpointed layer runs once more before its backward pass.

PyTorch runs all of it (Chen et al., 2016). A compiler that has the backward pass before it runs only what that needs
(docs.jax.dev, "Control autodiff's saved values with jax.checkpoint"): not the last product of a layer, whose result
only the residual sum takes; and policies name products whose results are kept or moved to the host's memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from estimator.parallel.roles import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from estimator.parallel.layout import Layout
    from estimator.parallel.roles import LayerRoles
    from estimator.parallel.sharding import Mask

Result = Literal["qkv", "attention", "out", "up", "down"]
RESULTS: Final[tuple[Result, ...]] = get_args(Result)
"""Results that a policy may keep: of the products before attention, of attention, of the product behind it, and of the
products that open and close the rest of a layer."""

OPENING: Final = (Role.COLUMN, Role.EXPERT_COLUMN, Role.REPLICATED)

PASSED_ON: Final = ("view", "copy", "random")
SUMS: Final = ("aten.add", "aten.add_")
"""Families and operators whose backward pass does not need what they were given: casts, dropout, sums."""


@lru_cache(maxsize=256)
def spared(layout: Layout, keeps: tuple[Result, ...], whole: bool) -> Mask:
    """Return which operations of the forward pass full checkpointing does not compute again.

    Parameters
    ----------
    layout
        roles of the operations of a model
    keeps
        results that are kept
    whole
        whether all else of a layer is computed again, needed or not
    """
    rows = np.zeros(len(layout.role), dtype=np.bool_)
    for walk in {id(walk): walk for walk in layout.walks.values()}.values():
        found = dict(_results(layout, walk))
        rows[[row for row, result in found.items() if result in keeps]] = True
        last = max((row for row, result in found.items() if result != "attention"), default=None)
        if not whole and last is not None and _only_summed(layout, walk, last):
            rows[last] = True
    return rows


def _results(layout: Layout, walk: LayerRoles) -> Iterator[tuple[int, Result]]:
    """Yield every product of a layer with what its result is."""
    heads = [row for row in walk.rows if layout.role[row] == Role.HEADS]
    first = min(heads, default=-1)
    out = min((row for row in walk.rows if row > first and layout.role[row] == Role.ROW), default=-1) if heads else -1
    for row in walk.rows:
        role = Role(int(layout.role[row]))
        if role is Role.HEADS:
            yield row, "attention"
        elif layout.axes[row, 0] >= 0:
            opens = role in OPENING
            yield row, ("qkv" if row < first else "up") if opens else ("out" if row == out else "down")


def _only_summed(layout: Layout, walk: LayerRoles, last: int) -> bool:
    """Whether nothing but the residual sum takes the result of a product: no norm behind it, no weights of experts."""
    behind = [layout.products.operations[row] for row in walk.rows if row > last]
    passed_on = all(each.family in PASSED_ON or each.operator in SUMS for each in behind)
    return Role(int(layout.role[last])) is Role.ROW and passed_on
