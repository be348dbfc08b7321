"""How much more than the mean the busiest device of experts has to do.

Loads of experts that a router spreads with a coefficient of variation c have an expected largest of 1 + c sqrt(2 ln n)
over n experts (order statistics of a normal distribution); a device with e experts of its own averages them, so the
busiest of d devices has 1 + c sqrt(2 ln d / e). All others wait for it at the next all-to-all. With a capacity factor
every expert computes as many rows as that allows, padded with zeros or with tokens dropped (Lepikhin et al., 2021;
Fedus et al., 2022), however busy it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from estimator.parallel.values import Triple, triple
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.layout import Layout


@dataclass(frozen=True, slots=True)
class Routing:
    """How tokens go to experts.

    Attributes
    ----------
    busiest
        tokens of the busiest expert over the mean of all: low, middle, high
    capacity_factor
        rows that every expert computes over that mean; None: as many as there are ("dropless")

    Raises
    ------
    UsageError
        a busiest expert with less than the mean, or a capacity that is not above 0
    """

    busiest: tuple[float, float, float]
    capacity_factor: float | None = None

    def __post_init__(self) -> None:
        if min(self.busiest) < 1:
            raise UsageError(f"the busiest expert has at least the mean of all: 1 or more; given: {min(self.busiest)}")
        if self.capacity_factor is not None and not 0 < self.capacity_factor < math.inf:
            raise UsageError(f"capacity factor must be above 0; given: {self.capacity_factor}")

    def load(self, layout: Layout, expert_parallel: int) -> Triple:
        """Return the rows of the busiest device's experts over the mean of all devices.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> import numpy as np
        >>> eight = SimpleNamespace(experts=np.array([0, 8]), has_experts=True)
        >>> Routing((1.0, 1.2, 1.6)).load(eight, 8).tolist()
        [1.0, 1.2, 1.6]
        >>> Routing((1.0, 1.2, 1.6), capacity_factor=1.25).load(eight, 1).tolist()
        [1.25, 1.25, 1.25]
        """
        if not layout.has_experts:
            return triple(1.0)
        if self.capacity_factor is not None:
            return triple(self.capacity_factor)
        experts = int(layout.experts.max())
        if expert_parallel == 1 or experts == 1:
            return triple(1.0)
        own = experts / expert_parallel
        share = math.sqrt(math.log(expert_parallel) / math.log(experts) / own)
        return triple(*(round(1 + (each - 1) * share, 12) for each in self.busiest))

    def __str__(self) -> str:
        if self.capacity_factor is not None:
            return f"every expert computes {self.capacity_factor:g} times its mean of tokens (capacity factor)"
        low, mid, high = self.busiest
        if high == 1:
            return "tokens spread evenly over experts"
        spread = "" if low == high else f" ({low:g} to {high:g})"
        return f"the busiest expert has {mid:g} times the mean of tokens{spread}"


BALANCED: Final = Routing((1.0, 1.0, 1.0))
"""Every expert gets as many tokens: benchmarks force it."""

USUAL: Final = Routing((1.04, 1.15, 1.6))
"""Routers while they train, load of the busiest expert above the mean ("MaxVio") of 64 experts: 0.04 where biases are
adapted, 0.5 to 0.7 where an auxiliary loss alone balances (Wang et al., 2024, "Auxiliary-Loss-Free Load Balancing
Strategy for Mixture-of-Experts", arXiv:2408.15664, table 2). The middle, 0.15, is the geometric mean of both kinds: an
assumption, as what a model was balanced with is rarely known."""
