"""What differs between vendors, architectures, devices and sources beyond the formulas: factors, drawn towards 1.

A device may reach a little more or less of its datasheet than others (cooling, power limit, clock), and so may all
devices of an architecture (its clocks, its caches) and of a vendor (its libraries). A source may have a slower host, or
measure a little more than the step. All but what a source adds are kept for predictions; that is fitted only so that it
does not bend the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.calibration.design import COPIES, HOST, TERMS, Design, step_seconds
from estimator.timing.rates import Parameters
from estimator.timing.settings import Floats

Quantity = str
QUANTITIES: Final = ("matrix_rate", "vector_rate", "bandwidth")
SPREAD: Final = {
    ("vendor", "matrix_rate"): 0.35,
    ("vendor", "vector_rate"): 0.20,
    ("vendor", "bandwidth"): 0.10,
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

RATED: Final = {
    "matrix_rate": ("products", "recurrent", "kernels"),
    "vector_rate": ("products", "recurrent", "kernels"),
    "bandwidth": ("products", "recurrent", "kernels", "traffic"),
}
"""Kinds of cost that a factor on a rate changes; those on the host and on the step change none by themselves."""

KINDS: Final = (*TERMS, COPIES)

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


class Watched(Mapping[str, float]):
    """Parameters that remember which of them were asked for."""

    def __init__(self, values: Parameters) -> None:
        self.values_by_name, self.read = values, set[str]()

    def __getitem__(self, name: str) -> float:
        self.read.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def corrected(design: Design, layout: Layout, unknowns: Floats) -> Design:
    """Return the design with the factors of devices and architectures in its machine."""
    rate = {name: layout.factor(unknowns, name, design.n)[design.case] for name in QUANTITIES}
    machine = replace(
        design.machine,
        rate_factor=np.where(design.machine.matrix, rate["matrix_rate"], rate["vector_rate"]),
        bandwidth=design.machine.bandwidth * rate["bandwidth"],
    )
    return replace(design, machine=machine)


def log_seconds(design: Design, layout: Layout, unknowns: Floats) -> Floats:
    """Logarithm of the predicted seconds of every sample, with all factors."""
    p, on = layout.parameters(unknowns), corrected(design, layout, unknowns)
    return _log_step({name: on.term(name, p) for name in KINDS}, layout, unknowns)


def _log_step(terms: Mapping[str, Floats], layout: Layout, unknowns: Floats) -> Floats:
    n = len(terms[HOST])
    step = step_seconds(terms, layout.factor(unknowns, "host", n), layout.parameters(unknowns))
    return np.log(step * layout.factor(unknowns, "step", n))


def jacobian(design: Design, layout: Layout, unknowns: Floats) -> Floats:
    """Derivatives of `log_seconds` (samples x unknowns) by forward differences.

    Only the kinds of cost that a parameter changes are computed anew. Factors of one kind do not mix across samples, so
    all members of a block are moved at once.
    """
    on, watched = corrected(design, layout, unknowns), {name: Watched(layout.parameters(unknowns)) for name in KINDS}
    terms = {name: on.term(name, watched[name]) for name in KINDS}
    base = _log_step(terms, layout, unknowns)
    derivatives = np.zeros((design.n, layout.size))
    for place, parameter in enumerate(layout.free):
        moved = unknowns.copy()
        moved[place] += STEP
        p = layout.parameters(moved)
        changed = {name: on.term(name, p) for name in KINDS if parameter in watched[name].read}
        derivatives[:, place] = (_log_step({**terms, **changed}, layout, moved) - base) / STEP
    slopes: dict[Quantity, Floats] = {}
    for block in layout.blocks:
        if block.quantity not in slopes:
            moved = unknowns.copy()
            moved[block.start : block.stop] += STEP
            faster, p = corrected(design, layout, moved), layout.parameters(moved)
            changed = {name: faster.term(name, p) for name in RATED.get(block.quantity, ())}
            slopes[block.quantity] = (_log_step({**terms, **changed}, layout, moved) - base) / STEP
        derivatives[np.arange(design.n), block.start + block.member] = slopes[block.quantity]
    return derivatives
