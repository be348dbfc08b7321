"""What differs between devices, architectures and sources beyond the formulas: factors, drawn towards 1.

A device may reach a little more or less of its datasheet than others (cooling, power limit, clock), and so may all
devices of an architecture. A source may have a slower host, or measure a little more than the step. The first two are
kept for predictions; what a source adds is fitted only so that it does not bend the rest, and left out of predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.calibration.design import Design
from estimator.timing.rates import Parameters
from estimator.timing.seconds import side_by_side
from estimator.timing.settings import Floats

Quantity = str
QUANTITIES: Final = ("matrix_rate", "vector_rate", "bandwidth")
SPREAD: Final = {
    ("architecture", "matrix_rate"): 0.20,
    ("architecture", "vector_rate"): 0.20,
    ("architecture", "bandwidth"): 0.10,
    ("device", "matrix_rate"): 0.15,
    ("device", "vector_rate"): 0.15,
    ("device", "bandwidth"): 0.10,
    ("source", "host"): 0.50,
    ("source", "step"): 0.05,
}
"""Standard deviation of the logarithm of each kind of factor, before anything was measured."""

STEP: Final = 1e-3
"""How far a logarithm is moved for a derivative."""


@dataclass(frozen=True, slots=True)
class Block:
    """One kind of factor: which of them holds for each sample, and where they lie in the vector of unknowns."""

    scope: str
    quantity: Quantity
    member: NDArray[np.intp]
    names: tuple[str, ...]
    start: int

    @property
    def stop(self) -> int:
        """One past its last place."""
        return self.start + len(self.names)

    def of_samples(self, unknowns: Floats) -> Floats:
        """Logarithm of the factor of each sample."""
        values: Floats = unknowns[self.start : self.stop][self.member]
        return values


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the unknowns are: logarithms of the free parameters first, then the blocks of factors."""

    free: tuple[str, ...]
    fixed: Parameters
    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.blocks[-1].stop if self.blocks else len(self.free)

    def parameters(self, unknowns: Floats) -> dict[str, float]:
        """All parameters, fixed and free."""
        values = np.exp(unknowns[: len(self.free)]).tolist()
        return {**self.fixed, **dict(zip(self.free, values, strict=True))}

    def factor(self, unknowns: Floats, quantity: Quantity, n: int) -> Floats:
        """Product of the factors of a quantity over all scopes, one a sample."""
        total = np.zeros(n)
        for block in self.blocks:
            if block.quantity == quantity:
                total = total + block.of_samples(unknowns)
        return np.exp(total)


def blocks_for(labels: Mapping[str, Sequence[str]], start: int) -> tuple[Block, ...]:
    """Lay out the factors for samples whose architecture, device and source are `labels`."""
    blocks: list[Block] = []
    for scope, quantity in SPREAD:
        names, member = np.unique(np.asarray(labels[scope]), return_inverse=True)
        blocks.append(Block(scope, quantity, member.astype(np.intp), tuple(map(str, names)), start))
        start = blocks[-1].stop
    return tuple(blocks)


def log_seconds(design: Design, layout: Layout, unknowns: Floats) -> Floats:
    """Logarithm of the predicted seconds of every sample, with all factors."""
    p = layout.parameters(unknowns)
    rate = {name: layout.factor(unknowns, name, design.n)[design.case] for name in QUANTITIES}
    machine = replace(
        design.machine,
        rate_factor=np.where(design.machine.matrix, rate["matrix_rate"], rate["vector_rate"]),
        bandwidth=design.machine.bandwidth * rate["bandwidth"],
    )
    device, host = replace(design, machine=machine).streams(p)
    host = host * layout.factor(unknowns, "host", design.n)
    step = side_by_side(device, host, p["side_by_side_order"]) * layout.factor(unknowns, "step", design.n)
    return np.log(step)


def jacobian(design: Design, layout: Layout, unknowns: Floats) -> Floats:
    """Derivatives of `log_seconds` (samples x unknowns) by forward differences.

    Factors of one kind do not mix across samples, so all members of a block are moved at once.
    """
    base = log_seconds(design, layout, unknowns)
    derivatives = np.zeros((design.n, layout.size))
    for place in range(len(layout.free)):
        moved = unknowns.copy()
        moved[place] += STEP
        derivatives[:, place] = (log_seconds(design, layout, moved) - base) / STEP
    slopes: dict[Quantity, Floats] = {}
    for block in layout.blocks:
        if block.quantity not in slopes:
            moved = unknowns.copy()
            moved[block.start : block.stop] += STEP
            slopes[block.quantity] = (log_seconds(design, layout, moved) - base) / STEP
        derivatives[np.arange(design.n), block.start + block.member] = slopes[block.quantity]
    return derivatives
