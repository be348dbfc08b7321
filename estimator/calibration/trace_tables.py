"""Trace the models of measured cases into a folder of tables: `python -m estimator.calibration.trace_tables CASES.csv`.

This takes hours and needs torch; the fit itself then takes minutes and needs neither torch nor models.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import click

from estimator.calibration import tables
from estimator.calibration.samples import questions
from estimator.validation.cases import Case, read_cases
from hardware_db import load
from hardware_db.errors import FlopcastError
from profiles.case_trace import ProfileQuestion

SEED = 0


def missing_questions(cases: Iterable[Case], folder: Path) -> list[ProfileQuestion]:
    """Return the questions of one-device cases that have no table yet, in random order so that any part is a sample."""
    single = [case for case in cases if case.device_count == 1 and case.measured_step_time_s]
    found = [each for each in questions(single, load()) if not tables.path_of(each, folder).is_file()]
    random.Random(SEED).shuffle(found)
    return found


@click.command()
@click.argument("cases", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tables", "folder", type=click.Path(path_type=Path), required=True, help="Folder to keep tables in.")
@click.option("--part", type=(int, int), default=(0, 1), help="Which part of how many; for several processes.")
def main(cases: Path, folder: Path, part: tuple[int, int]) -> None:
    """Trace every model of CASES that is not in --tables yet."""
    from profiles.case_trace import trace

    found = missing_questions(read_cases(cases), folder)[part[0] :: part[1]]
    for at, question in enumerate(found, start=1):
        try:
            tables.save(trace(question, cases.resolve().parent).table(), tables.path_of(question, folder))
        except FlopcastError as error:
            click.echo(f"{question.model}: {str(error).splitlines()[0]}", err=True)
        if at % 20 == 0:
            click.echo(f"{at} of {len(found)}")


if __name__ == "__main__":
    main()
