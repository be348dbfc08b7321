"""From measured cases to samples for the fit: those of one device, whose models were traced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.calibration import tables
from estimator.calibration.design import Sample
from estimator.timing.machine import machine_of
from estimator.timing.work import work_of
from estimator.validation.execution import execution_of
from estimator.validation.questions import question_of
from estimator.validation.software import copied_bytes, runs_optimizer
from hardware_db.errors import FlopcastError

if TYPE_CHECKING:
    from estimator.validation.cases import Case
    from hardware_db import Database, Device
    from profiles.case_trace import ProfileQuestion
    from profiles.tables import OperationTable

SHORTEST_S = 1e-5
"""Steps below this are mistakes of the table."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sample with what it is grouped by."""

    sample: Sample
    case: Case
    device: Device

    @property
    def source(self) -> str:
        """What was measured by the same program on the same kind of host."""
        return f"{self.case.stratum}/{self.case.compile}/{self.case.task}"

    @property
    def group(self) -> str:
        """What is weighted as one: cases of one source, device, precision and layout."""
        return f"{self.source}/{self.device.id}/{self.case.precision}/{self.case.memory_format}"


@dataclass(frozen=True, slots=True)
class Left:
    """A case that cannot be a sample, and why."""

    case: Case
    reason: str


def labelled_samples(cases: Iterable[Case], hardware: Database, folder: Path) -> Iterator[Labelled | Left]:
    """Turn cases into samples with the tables of `folder`."""
    for case in cases:
        try:
            yield _labelled(case, hardware, folder)
        except FlopcastError as error:
            yield Left(case, str(error).splitlines()[0])


def _labelled(case: Case, hardware: Database, folder: Path) -> Labelled | Left:
    if case.measured_step_time_s is None or case.measured_step_time_s < SHORTEST_S:
        return Left(case, "no step time was measured")
    if case.device_count > 1:
        return Left(case, "several devices")
    device = hardware.device(case.device).logical_device()
    path = tables.path_of(question_of(case, device.kind), folder)
    if not path.is_file():
        return Left(case, "its model was not traced")
    table = _table(path)
    settings = execution_of(case)
    sample = Sample(
        work=work_of(table),
        machine=machine_of(table, device, settings.execution, settings.memory_format),
        training=case.training,
        accumulation=case.accumulation,
        with_optimizer=runs_optimizer(case),
        measured_s=case.measured_step_time_s,
        copied_bytes=copied_bytes(case, device.kind),
    )
    return Labelled(sample, case, device)


@cache
def _table(path: Path) -> OperationTable:
    return tables.load(path)


def questions(cases: Iterable[Case], hardware: Database) -> dict[ProfileQuestion, Case]:
    """Return the questions of all cases that can be asked, with one case each."""
    found: dict[ProfileQuestion, Case] = {}
    for case in cases:
        try:
            found.setdefault(question_of(case, hardware.device(case.device).kind), case)
        except FlopcastError:
            continue
    return found
