"""The fit: parameters of the formulas and factors of devices and architectures, from measured steps and operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from estimator.calibration.design import Sample, join
from estimator.calibration.effects import SPREAD, Layout, blocks_for, jacobian, log_seconds
from estimator.calibration.regression import Expected, Problem, solve
from estimator.timing.corrections import FEWEST_CASES
from estimator.timing.parameters import Parameter, factors_of
from estimator.timing.settings import Floats

NOISE: Final = 0.08
"""Standard deviation of the logarithm of a measured time around a good prediction."""

FIXED_SPREAD: Final = 0.05
"""Parameters whose expectation is narrower than this are not fitted."""

MOST_PER_GROUP: Final = 40

OPERATOR_WEIGHT: Final = 0.15
"""Weight of a single operator beside a whole step."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A sample with everything it is grouped by; `operator` marks a single operator."""

    sample: Sample
    device: str
    architecture: str
    vendor: str
    source: str
    group: str
    operator: bool = False


@dataclass(frozen=True, eq=False)
class Fit:
    """Unknowns with their layout; `count` says how many steps stand behind each device and architecture."""

    layout: Layout
    unknowns: Floats
    count: dict[tuple[str, str], int]

    @property
    def parameters(self) -> dict[str, float]:
        """Values of all parameters."""
        return self.layout.parameters(self.unknowns)

    def factors(self, scope: str) -> dict[tuple[str, str], float]:
        """(member, quantity) -> factor, of a scope."""
        found: dict[tuple[str, str], float] = {}
        for block in self.layout.blocks:
            if block.scope == scope:
                values = np.exp(self.unknowns[block.start : block.stop]).tolist()
                found |= {(name, block.quantity): value for name, value in zip(block.names, values, strict=True)}
        return found


def fit(observations: Sequence[Observation], table: Sequence[Parameter], steps: int) -> Fit:
    """Fit the parameters of `table` in at most `steps` steps, beginning where the last fit ended.

    `table` has the parameters of one kind of device and, not to be fitted again, those it shares with GPUs.
    Large groups are thinned to `MOST_PER_GROUP` cases: they are weighted down anyway.
    """
    counts = counts_of(observations)
    observations = thinned(observations)
    free = [each for each in table if each.spread > FIXED_SPREAD]
    fixed = {each.name: each.expected for each in table if each.spread <= FIXED_SPREAD}
    labels = {scope: [getattr(each, scope) for each in observations] for scope, _ in SPREAD}
    layout = Layout(tuple(each.name for each in free), fixed, blocks_for(labels, len(free)))
    expected = expected_of(free, layout)
    start = recorded(free, layout)
    return Fit(layout, solve(_problem(layout, observations), expected, start, steps), counts)


@dataclass(frozen=True, eq=False)
class Tangent:
    """A fit with its predictions and their derivatives, from which fits to parts of the data follow: they are near.

    `predicted` are logs of seconds, one an observation, and `slopes` their derivatives by the unknowns.
    """

    fitted: Fit
    expected: Expected
    observations: Sequence[Observation]
    predicted: Floats
    slopes: Floats

    @classmethod
    def of(cls, fitted: Fit, table: Sequence[Parameter], observations: Sequence[Observation]) -> Tangent:
        """Derive at the solution."""
        kept = thinned(observations)
        design = join([each.sample for each in kept])
        predicted = log_seconds(design, fitted.layout, fitted.unknowns)
        slopes = jacobian(design, fitted.layout, fitted.unknowns)
        free = [each for each in table if each.spread > FIXED_SPREAD]
        return cls(fitted, expected_of(free, fitted.layout), kept, predicted, slopes)

    def refit(self, seen: Callable[[Observation], bool], steps: int) -> Fit:
        """Fit to the observations that are `seen` on the tangent, in at most `steps` steps from the whole fit."""
        rows = [row for row, each in enumerate(self.observations) if seen(each)]
        kept = [self.observations[row] for row in rows]
        blocks = tuple(replace(block, member=block.member[rows]) for block in self.fitted.layout.blocks)
        layout = replace(self.fitted.layout, blocks=blocks)
        slopes, start = self.slopes[rows], self.fitted.unknowns
        off = self.predicted[rows] - np.log([each.sample.measured_s for each in kept])
        problem = Problem(
            residuals=lambda unknowns: off + slopes @ (unknowns - start),
            jacobian=lambda _: slopes,
            weights=weights(kept),
            noise=NOISE,
        )
        return Fit(layout, solve(problem, self.expected, self.fitted.unknowns, steps), counts_of(kept))


def thinned(observations: Sequence[Observation]) -> list[Observation]:
    """Keep at most `MOST_PER_GROUP` cases of each group, evenly spread over it."""
    sizes = Counter(each.group for each in observations)
    seen: Counter[str] = Counter()
    kept = []
    for each in observations:
        step = max(1.0, sizes[each.group] / MOST_PER_GROUP)
        if seen[each.group] % step < 1.0:
            kept.append(each)
        seen[each.group] += 1
    return kept


def expected_of(free: Sequence[Parameter], layout: Layout) -> Expected:
    """Return what is expected of every unknown before the data."""
    mean, spread = np.zeros(layout.size), np.zeros(layout.size)
    mean[: len(free)] = np.log([each.expected for each in free])
    spread[: len(free)] = [each.spread for each in free]
    for block in layout.blocks:
        spread[block.start : block.stop] = SPREAD[block.scope, block.quantity]
    return Expected(mean, spread)


def recorded(free: Sequence[Parameter], layout: Layout) -> Floats:
    """Return the unknowns as the last fit left them; factors that it did not have, and those of sources, are 1."""
    unknowns = np.zeros(layout.size)
    unknowns[: len(free)] = np.log([each.value for each in free])
    for block in layout.blocks:
        known = [factors_of(block.scope, name).get(block.quantity) for name in block.names]
        unknowns[block.start : block.stop] = [np.log(each.factor) if each else 0.0 for each in known]
    return unknowns


def _problem(layout: Layout, observations: Sequence[Observation]) -> Problem:
    design = join([each.sample for each in observations])
    measured = np.log(design.measured_s)
    return Problem(
        residuals=lambda unknowns: log_seconds(design, layout, unknowns) - measured,
        jacobian=lambda unknowns: jacobian(design, layout, unknowns),
        weights=weights(observations),
        noise=NOISE,
    )


def weights(observations: Sequence[Observation]) -> Floats:
    """Weigh n cases of a group like sqrt(n), and the G groups of a source like sqrt(G): no table decides by its length.

    Cases of one group share their mistakes (host, library versions), groups of one source some of them.
    """
    sizes = Counter(each.group for each in observations)
    groups = Counter(source for source, _ in {(each.source, each.group) for each in observations})
    shares = np.array([(sizes[each.group] * groups[each.source]) ** -0.5 for each in observations])
    single = np.array([OPERATOR_WEIGHT if each.operator else 1.0 for each in observations])
    scaled: Floats = shares / shares.mean() * single
    return scaled


def counts_of(observations: Sequence[Observation]) -> dict[tuple[str, str], int]:
    """Return how many measured steps there are of each device and architecture."""
    steps = [each for each in observations if not each.operator]
    devices = Counter(("device", each.device) for each in steps)
    architectures = Counter(("architecture", each.architecture) for each in steps)
    return dict(devices + architectures + Counter(("vendor", each.vendor) for each in steps))


def predicted_seconds(fitted: Fit, observations: Sequence[Observation]) -> Floats:
    """Predict as a user would be answered: factors of known devices and architectures, none of sources.

    A device with `FEWEST_CASES` steps takes its own factors beside those of its architecture and vendor.
    """
    design = join([each.sample for each in observations])
    labels = {scope: [getattr(each, scope) for each in observations] for scope, _ in SPREAD}
    layout = Layout(fitted.layout.free, fitted.layout.fixed, blocks_for(labels, len(fitted.layout.free)))
    unknowns = np.zeros(layout.size)
    unknowns[: len(layout.free)] = fitted.unknowns[: len(layout.free)]
    for block in layout.blocks:
        if block.scope != "source":
            known = fitted.factors(block.scope)
            few = [block.scope == "device" and fitted.count.get(("device", n), 0) < FEWEST_CASES for n in block.names]
            values = [
                1.0 if little else known.get((name, block.quantity), 1.0)
                for name, little in zip(block.names, few, strict=True)
            ]
            unknowns[block.start : block.stop] = np.log(values)
    return np.exp(log_seconds(design, layout, unknowns))
