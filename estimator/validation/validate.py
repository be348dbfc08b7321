"""Predict every measured case of a file and say how far off the predictions are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from estimator.timing import as_benchmarked, cores_said
from estimator.validation.answering import answers
from estimator.validation.cases import Case, Unreadable, read_rows
from estimator.validation.defaults import completed
from estimator.validation.memory import MemoryPrediction, predict_memory, question_of_memory
from estimator.validation.prediction import Prediction, predict_case
from estimator.validation.questions import question_of
from estimator.validation.report import Report, Row, report_of, row_of, unreadable_row
from hardware_db import Database, Device, load
from hardware_db.errors import FlopcastError

if TYPE_CHECKING:
    from profiles.case_trace import ProfileQuestion
    from profiles.model_profile import ModelProfile

Progress = Callable[[int, int], None]
"""Called with how many models have been answered, of how many."""

Quantity = Literal["time", "memory"]


@dataclass
class Found:
    """What is known of one row so far: the completed case, its predictions, and why one is missing."""

    case: Case
    device: Device | None = None
    assumed: tuple[str, ...] = ()
    time: Prediction | None = None
    memory: MemoryPrediction | None = None
    reasons: dict[Quantity, str] = field(default_factory=dict)

    def predict(self, quantity: Quantity, profile: ModelProfile | None, reason: str) -> None:
        """Predict one quantity from the profile that answers it, or note why not."""
        if profile is None or self.device is None:
            self.reasons[quantity] = reason
            return
        try:
            if quantity == "time":
                self.time = predict_case(self.case, profile, self.device)
            else:
                self.memory = predict_memory(self.case, profile, self.device)
        except FlopcastError as error:
            self.reasons[quantity] = first_line(error)
        except Exception as error:  # one odd row must not take the answers to all others with it
            self.reasons[quantity] = f"{type(error).__name__}: {error}"

    def questions(self) -> Iterator[tuple[ProfileQuestion, Quantity]]:
        """Yield what has to be traced for this row.

        Raises
        ------
        FlopcastError
            The case does not say its batch size.
        """
        assert self.device is not None
        asked = question_of(self.case, self.device.kind)
        yield asked, "time"
        if self.measures_memory and self.case.model_devices == 1:
            yield question_of_memory(self.case, asked), "memory"

    @property
    def measures_memory(self) -> bool:
        """Whether memory was measured, or ran out."""
        return self.case.measured_peak_memory_bytes is not None or self.case.out_of_memory

    def row(self) -> Row:
        """Return the row of the report."""
        wanted: tuple[Quantity, ...] = ("memory",) if self.measures_memory and self.case.model_devices == 1 else ()
        if self.case.measured_step_time_s is not None or not wanted:
            wanted = ("time", *wanted)
        reason = "; ".join(dict.fromkeys(self.reasons[each] for each in wanted if each in self.reasons))
        return row_of(self.case, self.time, self.memory, reason, self.assumed)


def validate(path: Path, jobs: int = 1, hardware: Database | None = None, progress: Progress | None = None) -> Report:
    """Predict every row of a file of cases (see `read_cases`) and compare.

    Each model is traced once for each way it ran, in `jobs` processes, and kept: a second run, or one that was
    interrupted, does not trace it again. Rows that cannot be predicted are in the report with the reason.

    Raises
    ------
    DataError
        The file is no table of cases.
    """
    return validate_cases(read_rows(path), path.resolve().parent, jobs, hardware or load(), progress)


def validate_cases(
    cases: Sequence[Case | Unreadable],
    base: Path,
    jobs: int,
    hardware: Database,
    progress: Progress | None = None,
) -> Report:
    """Predict cases; configuration files that they name are relative to `base`."""
    found = {at: Found(case) for at, case in enumerate(cases) if isinstance(case, Case)}
    waiting = _ask(found.values(), hardware)
    for done, (question, profile, reason) in enumerate(answers(list(waiting), base, jobs), start=1):
        for each, quantity in waiting[question]:
            each.predict(quantity, profile, reason)
        if progress is not None:
            progress(done, len(waiting))
    rows = [found[at].row() if isinstance(case, Case) else unreadable_row(case) for at, case in enumerate(cases)]
    return report_of(rows)


def _ask(found: Iterable[Found], hardware: Database) -> dict[ProfileQuestion, list[tuple[Found, Quantity]]]:
    """Complete the cases, and return which profiles are needed for which of them."""
    waiting: dict[ProfileQuestion, list[tuple[Found, Quantity]]] = defaultdict(list)
    for each in found:
        try:
            each.device = as_benchmarked(hardware.device(each.case.device))
            each.case, each.assumed = completed(each.case, each.device)
            if part := cores_said(each.device):
                each.assumed = (*each.assumed, f"{part}, as benchmarked")
            for question, quantity in each.questions():
                waiting[question].append((each, quantity))
        except FlopcastError as error:
            each.reasons = {"time": first_line(error), "memory": first_line(error)}
    return waiting


def first_line(error: Exception) -> str:
    """Return the first line of a message."""
    return str(error).splitlines()[0]
