"""Robust regression of many unknowns, each drawn towards what was expected of it.

Minimises sum(w * rho(residual / noise)) + sum(((x - mean) / spread)^2) with rho(r) = f log(1 + r^2 / f), which hardly
counts large residuals: published tables hold mistakes. That is a Student distribution of f degrees of freedom (Lange,
Little and Taylor 1989, "Robust statistical modeling using the t distribution"). Gauss-Newton steps with weights renewed
at every step, halved while they do not improve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALVINGS: Final = 6
LONGEST_STEP: Final = 0.3
"""Largest change of an unknown in one step (a factor of 1.35): the formulas are far from linear beyond that."""

ENOUGH: Final = 1e-4
FREEDOM: Final = 4.0
"""Degrees of freedom: from twice the noise on a residual pulls less the larger it is."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of the unknowns before the data: mean and standard deviation of each."""

    mean: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class Problem:
    """Residuals of the unknowns, their derivatives (samples x unknowns), the weight of each sample, and the noise."""

    residuals: Callable[[Floats], Floats]
    jacobian: Callable[[Floats], Floats]
    weights: Floats
    noise: float

    def cost(self, unknowns: Floats, expected: Expected) -> float:
        """The sum that is minimised."""
        scaled = self.residuals(unknowns) / self.noise
        data = FREEDOM * self.weights @ np.log1p(scaled**2 / FREEDOM)
        return float(data + np.sum(((unknowns - expected.mean) / expected.spread) ** 2))


def solve(problem: Problem, expected: Expected, start: Floats, steps: int) -> Floats:
    """Return the unknowns after at most `steps` steps from `start`."""
    unknowns, cost = start, problem.cost(start, expected)
    for _ in range(steps):
        direction = _direction(problem, expected, unknowns)
        for halving in range(HALVINGS):
            trial = unknowns + direction / 2**halving
            trial_cost = problem.cost(trial, expected)
            if trial_cost < cost:
                break
        else:
            return unknowns
        gained, unknowns, cost = cost - trial_cost, trial, trial_cost
        if gained < ENOUGH * cost:
            break
    return unknowns


def _direction(problem: Problem, expected: Expected, unknowns: Floats) -> Floats:
    residuals: Floats = problem.residuals(unknowns) / problem.noise
    jacobian: Floats = problem.jacobian(unknowns) / problem.noise
    weights: Floats = problem.weights / (1 + residuals**2 / FREEDOM)
    precision = np.diag(expected.spread**-2)
    normal = jacobian.T @ (jacobian * weights[:, None]) + precision
    gradient = jacobian.T @ (weights * residuals) + precision @ (unknowns - expected.mean)
    direction = -np.linalg.solve(normal, gradient)
    longest = float(np.abs(direction).max())
    return np.asarray(direction * min(1.0, LONGEST_STEP / longest), dtype=np.float64)
