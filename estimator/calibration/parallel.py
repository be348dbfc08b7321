"""Fit the factors of split steps to published ones: `python -m estimator.calibration.parallel STEPS.csv`.

Factors are found in their natural logs, each drawn towards 1 by the spread of what is known of it (`factors.csv`), by
robust least squares through `parallel_step` itself. Then whole sources (repositories), architectures and families of
models are left out in turn: the fit is repeated without them on its tangent, and they are predicted by it in full.

Writes `factors.csv` and `ranges.csv` of `estimator.parallel`, and `parallel_left_out.csv` beside this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from estimator.calibration.leave_out import model_family
from estimator.calibration.parallel_results import Outcome, report, write
from estimator.parallel.adjust import Factor, adjustment_from, factor_table
from estimator.parallel.measured import Asked, asked_of_case
from estimator.validation.answering import answers
from estimator.validation.cases import Case, read_cases
from estimator.validation.defaults import completed
from estimator.validation.execution import execution_of
from estimator.validation.prediction import Prediction, predict_case, runs_alone
from estimator.validation.questions import question_of
from hardware_db import Database, Device, load
from hardware_db.errors import FlopcastError

if TYPE_CHECKING:
    from profiles.case_trace import ProfileQuestion

Floats = NDArray[np.float64]

NOISE: Final = 0.08
"""Relative error of a step that its formulas cannot explain."""

ALIKE: Final = 12
"""Steps of one source err together: more of them than this weigh as much as this many."""

DIFFERENCE: Final = 0.02
"""Change of the log of a factor by which its effect is found."""

ROUNDS: Final = 3

SCHEMES: Final[dict[str, Callable[[Measured], str]]] = {
    "source": lambda each: each.source,
    "architecture": lambda each: each.asked.setting.device.architecture,
    "family": lambda each: model_family(each.case.model),
}
"""What is left out -> the member that a step belongs to."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured step on several devices and what is asked for it; `shipped` is its prediction as it stands."""

    case: Case
    asked: Asked
    shipped: Prediction

    @property
    def source(self) -> str:
        """Repository that published it."""
        return self.case.source.partition("@")[0]

    @property
    def measured_s(self) -> float:
        """Measured seconds of the step."""
        assert self.case.measured_step_time_s is not None
        return self.case.measured_step_time_s

    def log_seconds(self, table: Sequence[Factor]) -> float:
        """Log of the seconds that these factors predict."""
        setting = self.asked.setting
        factors = adjustment_from(table, setting.stack.name, setting.device.architecture)
        return float(np.log(self.asked.step(factors).total.mid))


@dataclass(frozen=True, eq=False)
class Tangent:
    """Log seconds of steps near some factors: `at` + `slopes` @ change of their logs."""

    steps: Sequence[Measured]
    table: tuple[Factor, ...]
    at: Floats
    slopes: Floats

    @classmethod
    def of(cls, steps: Sequence[Measured], table: tuple[Factor, ...]) -> Tangent:
        """Work it out by differences."""
        at = np.array([each.log_seconds(table) for each in steps])
        columns = []
        for place in range(len(table)):
            moved = changed(table, np.eye(len(table))[place] * DIFFERENCE)
            columns.append((np.array([each.log_seconds(moved) for each in steps]) - at) / DIFFERENCE)
        return cls(steps, table, at, np.stack(columns, axis=1))

    def solved(self, used: NDArray[np.bool_]) -> tuple[Factor, ...]:
        """Return the factors that fit the steps in use best."""
        measured = np.log([each.measured_s for each in self.steps])
        weights = _weights([each.source for each in self.steps], used) / NOISE
        start = np.log([each.factor for each in self.table])
        spread = np.array([each.spread for each in self.table])

        def residuals(change: Floats) -> Floats:
            off = (self.at + self.slopes @ change - measured) * weights
            return np.concatenate([_robust(off), (start + change) / spread])

        return changed(self.table, least_squares(residuals, np.zeros(len(start))).x)


def changed(table: tuple[Factor, ...], logs: Floats) -> tuple[Factor, ...]:
    """Return factors with their logs changed."""
    return tuple(replace(each, factor=each.factor * float(np.exp(by))) for each, by in zip(table, logs, strict=True))


def _weights(sources: list[str], used: NDArray[np.bool_]) -> Floats:
    counts = {name: sources.count(name) for name in set(sources)}
    shares = np.array([min(1.0, ALIKE / counts[name]) for name in sources])
    weights: Floats = np.sqrt(shares) * used
    return weights


def _robust(off: Floats) -> Floats:
    """Errors that count by their size, not its square, from one standard deviation on (Huber's loss, smooth)."""
    softened: Floats = np.sign(off) * np.sqrt(2 * (np.sqrt(1 + off**2) - 1))
    return softened


def measured_steps(path: Path, jobs: int, database: Database) -> Iterator[Measured]:
    """Yield the steps on several devices that can be predicted; the others are counted on the way."""
    waiting: dict[ProfileQuestion, list[tuple[Case, Device]]] = {}
    for case in read_cases(path):
        if runs_alone(case) or not case.training or not case.measured_step_time_s:
            continue
        try:
            device = database.device(case.device).logical_device()
            whole, _ = completed(case, device)
            waiting.setdefault(question_of(whole, device.kind), []).append((whole, device))
        except FlopcastError as error:
            click.echo(f"left out: {case.case_id}, {str(error).splitlines()[0]}", err=True)
    for question, profile, reason in answers(list(waiting), path.resolve().parent, jobs):
        for case, device in waiting[question]:
            try:
                if profile is None:
                    raise FlopcastError(reason)
                asked = asked_of_case(case, profile, device, execution_of(case))
                yield Measured(case, asked, predict_case(case, profile, device))
            except FlopcastError as error:
                click.echo(f"left out: {case.case_id}, {str(error).splitlines()[0]}", err=True)


def fitted(steps: Sequence[Measured], table: tuple[Factor, ...]) -> Tangent:
    """Return the tangent at the factors that fit all steps best."""
    found = table
    for _ in range(ROUNDS):
        found = Tangent.of(steps, found).solved(np.ones(len(steps), dtype=np.bool_))
    return Tangent.of(steps, found)


def left_out(tangent: Tangent, key: Callable[[Measured], str]) -> list[float]:
    """Predict every step by a fit without those of its key: seconds in the order of the steps."""
    keys = np.array([key(each) for each in tangent.steps])
    seconds = np.zeros(len(keys))
    for member in np.unique(keys):
        table = tangent.solved(keys != member)
        for place in np.flatnonzero(keys == member).tolist():
            seconds[place] = np.exp(tangent.steps[place].log_seconds(table))
    return [float(each) for each in seconds]


def outcomes(tangent: Tangent) -> list[Outcome]:
    """Return the steps of one software with what is said of each, with and without what is like it."""
    by_scheme = {name: left_out(tangent, key) for name, key in SCHEMES.items()}
    rows = []
    for place, each in enumerate(tangent.steps):
        seconds = {name: values[place] for name, values in by_scheme.items()}
        rows.append(Outcome(
            each.case.case_id, each.case.stratum, each.source, each.asked.setting.stack.name, each.measured_s,
            float(np.exp(tangent.at[place])), seconds, each.shipped.floors.constant_utilisation_s,
        ))  # fmt: skip
    return rows


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--jobs", default=1, help="Processes that trace models.")
def main(path: Path, jobs: int) -> None:
    """Fit, leave out, say how far off it is, and write the tables."""
    steps = list(measured_steps(path, jobs, load()))
    factors: list[Factor] = []
    found: list[Outcome] = []
    for name in dict.fromkeys(each.stack for each in factor_table()):
        mine = [each for each in steps if each.asked.setting.stack.name == name]
        tangent = fitted(mine, tuple(each for each in factor_table() if each.stack == name))
        factors += tangent.table
        found += outcomes(tangent)
    click.echo(report(found))
    write(factors, found)


if __name__ == "__main__":
    main()
