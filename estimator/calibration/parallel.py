"""Fit the factors of split steps to published ones: `python -m estimator.calibration.parallel STEPS.csv`.

Factors are found in their natural logs by robust least squares through `parallel_step` itself. Those of one kind in
several programs are drawn towards each other by half of the spread of what is known of them (`factors.csv`), and what
they have in common towards 1 by all of it, so that software that was not measured is not a blank sheet. Then whole
sources (repositories), architectures and families of models are left out in turn: the fit is repeated without them on
its tangent, and they are predicted by it in full.

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
from estimator.parallel.adjust import Factor, adjustment_from, factor_table, is_measured, program
from estimator.parallel.measured import Asked, asked_of_case, stack_of_case
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

ROUNDS: Final = 1

POOLED: Final = 0.5
"""How far factors of one kind may lie from each other, over how far they may lie from 1."""

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
    def program(self) -> str:
        """Software that ran it, on which kind of device."""
        return program(self.asked.setting.stack.name, self.asked.setting.device.kind)

    @property
    def measured_s(self) -> float:
        """Measured seconds of the step."""
        assert self.case.measured_step_time_s is not None
        return self.case.measured_step_time_s

    def log_seconds(self, table: Sequence[Factor]) -> float:
        """Log of the seconds that these factors predict."""
        setting = self.asked.setting
        factors = adjustment_from(table, self.program, setting.device.architecture)
        return float(np.log(self.asked.seconds(factors)))


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


def solved(tangents: Sequence[Tangent], used: Callable[[Measured], bool]) -> list[tuple[Factor, ...]]:
    """Return the factors of every software that fit the steps in use best, all found together."""
    sizes = [len(each.table) for each in tangents]
    table = [factor for each in tangents for factor in each.table]
    kinds = sorted({each.what for each in table})
    of_kind = np.array([kinds.index(each.what) for each in table])
    start, spread = (np.array([getter(each) for each in table]) for getter in (_log, _spread))
    weighted = [_weighted(each, used) for each in tangents]

    def residuals(unknown: Floats) -> Floats:
        change, common = unknown[: len(table)], unknown[len(table) :]
        parts = np.split(change, np.cumsum(sizes)[:-1])
        off = [
            _robust((at + slopes @ part) / NOISE) * root
            for (at, slopes, root), part in zip(weighted, parts, strict=True)
        ]
        apart = (start + change - common[of_kind]) / (spread * POOLED)
        widest = np.array([spread[of_kind == kind].max() for kind in range(len(kinds))])
        return np.concatenate([*off, apart, common / widest])

    found = least_squares(residuals, np.zeros(len(table) + len(kinds))).x[: len(table)]
    parts = np.split(found, np.cumsum(sizes)[:-1])
    return [changed(each.table, part) for each, part in zip(tangents, parts, strict=True)]


def _log(each: Factor) -> float:
    return float(np.log(each.factor))


def _spread(each: Factor) -> float:
    return each.spread


def _weighted(tangent: Tangent, used: Callable[[Measured], bool]) -> tuple[Floats, Floats, Floats]:
    """Log of predicted over measured, its slopes, and the root of the weight of each step; 0 for those not in use."""
    off = tangent.at - np.log([each.measured_s for each in tangent.steps])
    inside = np.array([used(each) for each in tangent.steps], dtype=np.bool_)
    return off, tangent.slopes, _weights([each.source for each in tangent.steps], inside)


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
    """Yield the steps on several devices, of software with factors, that can be predicted; say which cannot."""
    waiting: dict[ProfileQuestion, list[tuple[Case, Device]]] = {}
    for case in read_cases(path):
        if runs_alone(case) or not case.training or not case.measured_step_time_s:
            continue
        if not is_measured(stack_of_case(case).name):
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


def fitted(steps: Sequence[Measured]) -> list[Tangent]:
    """Return the tangents, one for each program, at the factors that fit all steps best."""
    names = list(dict.fromkeys(each.stack for each in factor_table()))
    tables = [tuple(each for each in factor_table() if each.stack == name) for name in names]
    groups = [[each for each in steps if each.program == name] for name in names]
    for _ in range(ROUNDS):
        tables = solved([Tangent.of(*each) for each in zip(groups, tables, strict=True)], lambda _: True)
    return [Tangent.of(*each) for each in zip(groups, tables, strict=True)]


def left_out(tangents: Sequence[Tangent], key: Callable[[Measured], str]) -> list[list[float]]:
    """Predict every step by a fit without those of its key: seconds, software by software in the order of the steps."""
    seconds = [[0.0] * len(each.steps) for each in tangents]
    for member in sorted({key(step) for each in tangents for step in each.steps}):
        tables = solved(tangents, lambda each, member=member: key(each) != member)  # type: ignore[misc]
        for at, (tangent, table) in enumerate(zip(tangents, tables, strict=True)):
            for place, step in enumerate(tangent.steps):
                if key(step) == member:
                    seconds[at][place] = float(np.exp(step.log_seconds(table)))
    return seconds


def outcomes(tangents: Sequence[Tangent]) -> list[Outcome]:
    """Return every step with what is said of it, with and without what is like it."""
    schemes = {name: left_out(tangents, key) for name, key in SCHEMES.items()}
    rows = []
    for at, tangent in enumerate(tangents):
        for place, each in enumerate(tangent.steps):
            seconds = {name: found[at][place] for name, found in schemes.items()}
            rows.append(Outcome(
                each.case.case_id, each.case.stratum, each.source, each.program, each.measured_s,
                float(np.exp(tangent.at[place])), seconds, each.shipped.floors.constant_utilisation_s,
            ))  # fmt: skip
    return rows


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--jobs", default=1, help="Processes that trace models.")
def main(path: Path, jobs: int) -> None:
    """Fit, leave out, say how far off it is, and write the tables."""
    tangents = fitted(list(measured_steps(path, jobs, load())))
    found = outcomes(tangents)
    click.echo(report(found))
    write([factor for each in tangents for factor in each.table], found)


if __name__ == "__main__":
    main()
