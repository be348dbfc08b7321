"""Fit the formulas of time to published measurements: `python -m estimator.calibration.fit STEPS.csv`.

Writes `parameters.csv`, `factors.csv` and `spreads.csv` of `estimator.timing`; beside this file `residuals.csv`, what
these tables say of every step that they were fitted to, and `left_out.csv`, how far predictions were off for devices,
sources and families of models that the fit had not seen. The committed tables are what this wrote
from the tables before them, where it begins. Models are traced once, by `python -m estimator.calibration.trace_tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from estimator.calibration import results
from estimator.calibration.fitting import Fit, Observation, Tangent, fit
from estimator.calibration.leave_out import FOLDS, LeftOut, leave_out, model_family
from estimator.calibration.operators import operator_samples
from estimator.calibration.samples import Labelled, Left, labelled_samples
from estimator.timing.corrections import libraries
from estimator.timing.parameters import Parameter, parameter_table
from estimator.validation.cases import read_cases
from hardware_db import Database, load

STEPS = 20


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fit of one kind of device with the predictions of what was left out, by what was left out."""

    kind: str
    labelled: list[Labelled]
    fitted: Fit
    left_out: dict[str, LeftOut]


def observation(each: Labelled) -> Observation:
    """Return a measured step as an observation."""
    device = each.device
    return Observation(each.sample, device.id, device.architecture, libraries(device), each.source, each.group)


def table_of(kind: str) -> tuple[Parameter, ...]:
    """Return the parameters of a kind of device; those that it shares with GPUs as they are, not to be fitted."""
    own = [each for each in parameter_table() if each.kind == kind]
    names = {each.name for each in own}
    shared = [replace(each, expected=each.value, spread=0.0) for each in parameter_table() if each.kind == "gpu"]
    return (*own, *(each for each in shared if each.name not in names))


def calibrate(kind: str, labelled: list[Labelled], operators: Sequence[Observation], validated: bool) -> Calibration:
    """Fit one kind of device; `validated` also predicts everything by fits that have not seen it."""
    table = table_of(kind)
    steps = [observation(each) for each in labelled]
    families = {id(step.sample): model_family(each.case.model) for step, each in zip(steps, labelled, strict=True)}
    everything = [*steps, *operators]
    fitted = fit(everything, table, STEPS)
    schemes = {
        "device": lambda each: each.device,
        "source": lambda each: "operators" if each.operator else each.source.partition("/")[0],
        "family": lambda each: families.get(id(each.sample), "operators"),
    }
    tangent = Tangent.of(fitted, table, everything) if validated else None
    left: dict[str, LeftOut] = {}
    for name, key in schemes.items() if tangent else ():
        assert tangent is not None
        left[name] = leave_out(everything, key, tangent, FOLDS.get(name))
    return Calibration(kind, labelled, fitted, left)


def _operators(path: Path | None, hardware: Database) -> list[Observation]:
    if path is None:
        return []
    return [
        Observation(
            each.sample,
            each.device.id,
            each.device.architecture,
            libraries(each.device),
            each.source,
            each.source,
            operator=True,
        )
        for each in operator_samples(path, hardware)
    ]


@click.command()
@click.argument("cases", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operators", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Operator latencies.")
@click.option("--tables", type=click.Path(path_type=Path), required=True, help="Folder that keeps traced models.")
@click.option("--validate/--no-validate", default=True, help="Also predict what each fit has not seen.")
def main(cases: Path, operators: Path | None, tables: Path, validate: bool) -> None:
    """Fit the parameters of time to measured CASES, whose models were traced into --tables."""
    hardware = load()
    found = list(labelled_samples(read_cases(cases), hardware, tables))
    labelled = [each for each in found if isinstance(each, Labelled)]
    results.report_left([each for each in found if isinstance(each, Left)])
    kinds = sorted({each.device.kind for each in labelled} & {each.kind for each in parameter_table()}, reverse=True)
    single = _operators(operators, hardware)
    calibrations = []
    for kind in kinds:
        chosen = [each for each in labelled if each.device.kind == kind]
        click.echo(f"{kind}: {len(chosen)} steps, {len(single) if kind == 'gpu' else 0} operators")
        calibrations.append(calibrate(kind, chosen, single if kind == "gpu" else (), validate))
    results.write(calibrations)


if __name__ == "__main__":
    main()
