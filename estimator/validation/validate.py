"""Predict every measured case of a file and say how far off the predictions are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from estimator.validation.answering import answers
from estimator.validation.cases import Case, read_cases
from estimator.validation.prediction import Prediction, predict_case
from estimator.validation.questions import question_of
from estimator.validation.report import Report, Row, report_of, row_of
from hardware_db import Database, Device, load
from hardware_db.errors import FlopcastError
from profiles.case_trace import ProfileQuestion
from profiles.model_profile import ModelProfile

Progress = Callable[[int, int], None]
"""Called with how many models have been answered, of how many."""


def validate(path: Path, jobs: int = 1, hardware: Database | None = None, progress: Progress | None = None) -> Report:
    """Predict every row of a file of cases (see `read_cases`) and compare.

    Each model is traced once for each way it ran, in `jobs` processes, and kept: a second run takes seconds. Rows that
    cannot be predicted are in the report with the reason.

    Raises
    ------
    DataError
        The file is no table of cases.
    """
    return validate_cases(read_cases(path), path.resolve().parent, jobs, hardware or load(), progress)


def validate_cases(
    cases: Sequence[Case], base: Path, jobs: int, hardware: Database, progress: Progress | None = None
) -> Report:
    """Predict cases; configuration files that they name are relative to `base`."""
    rows: dict[int, Row] = {}
    waiting: dict[ProfileQuestion, list[tuple[int, Device]]] = defaultdict(list)
    for at, case in enumerate(cases):
        try:
            device = hardware.device(case.device)
            waiting[question_of(case, device.kind)].append((at, device))
        except FlopcastError as error:
            rows[at] = row_of(case, None, _first_line(error))
    for done, (question, profile, reason) in enumerate(answers(list(waiting), base, jobs), start=1):
        for at, device in waiting[question]:
            rows[at] = _row(cases[at], profile, device, reason)
        if progress is not None:
            progress(done, len(waiting))
    return report_of([rows[at] for at in range(len(cases))])


def _row(case: Case, profile: ModelProfile | None, device: Device, reason: str) -> Row:
    found: Prediction | None = None
    if profile is not None:
        try:
            found = predict_case(case, profile, device)
        except FlopcastError as error:
            reason = _first_line(error)
    return row_of(case, found, reason)


def _first_line(error: FlopcastError) -> str:
    return str(error).splitlines()[0]
