"""What a validation found: every row, and how good the predictions are by stratum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np

from estimator.validation.cases import Case, Unreadable
from estimator.validation.memory import MemoryPrediction
from estimator.validation.prediction import Prediction

CLOSE: Final = 0.20
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Row:
    """One case: what was measured, what was predicted, or why nothing was.

    Attributes
    ----------
    low_s, high_s
        ends of the 80 % range
    error, memory_error
        predicted over measured step time or peak memory, minus 1
    fits
        whether the case is predicted to fit its device; None where memory was not asked for
    assumed
        what the case did not say and was taken as usual
    reason
        why there is no prediction; empty where there is one
    """

    case_id: str
    stratum: str
    model: str
    device: str
    measured_step_time_s: float | None
    predicted_step_time_s: float | None
    low_s: float | None
    high_s: float | None
    error: float | None
    measured_peak_memory_bytes: float | None
    predicted_peak_memory_bytes: int | None
    memory_error: float | None
    fits: bool | None
    basis: str | None
    constant_utilisation_s: float | None
    datasheet_roofline_s: float | None
    assumed: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stratum:
    """How good the predictions of step time are on cases of one kind.

    Attributes
    ----------
    n, predicted
        cases, and those of them with a prediction and a measured step time
    median_error, p90_error
        of the absolute relative error
    bias
        median of predicted over measured, minus 1
    within_20_percent
        share of cases predicted within 20 %
    coverage
        share of cases whose measured time lies in the 80 % range
    constant_utilisation_error, datasheet_roofline_error
        median absolute relative errors of the two floors on the same cases
    memory_predicted, memory_median_error, memory_p90_error
        the same of peak memory
    """

    stratum: str
    n: int
    predicted: int
    median_error: float | None
    p90_error: float | None
    bias: float | None
    within_20_percent: float | None
    coverage: float | None
    constant_utilisation_error: float | None
    datasheet_roofline_error: float | None
    memory_predicted: int
    memory_median_error: float | None
    memory_p90_error: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All rows in the order of the file, and the strata, the last of which is all cases together."""

    rows: tuple[Row, ...]
    strata: tuple[Stratum, ...]

    @property
    def unpredicted(self) -> tuple[Row, ...]:
        """Rows without a prediction."""
        return tuple(row for row in self.rows if row.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {"rows": [asdict(row) for row in self.rows], "strata": [asdict(each) for each in self.strata]}


def row_of(
    case: Case, found: Prediction | None, held: MemoryPrediction | None, reason: str, assumed: Sequence[str] = ()
) -> Row:
    """Put a case and its predictions side by side."""
    time = found.step_time if found else None
    memory = round(held.peak_memory_bytes.mid) if held else found.peak_memory_bytes if found else None
    return Row(
        case_id=case.case_id,
        stratum=case.stratum,
        model=case.model,
        device=case.device,
        measured_step_time_s=case.measured_step_time_s,
        predicted_step_time_s=time.mid if time else None,
        low_s=time.low if time else None,
        high_s=time.high if time else None,
        error=_error(time.mid if time else None, case.measured_step_time_s),
        measured_peak_memory_bytes=case.measured_peak_memory_bytes,
        predicted_peak_memory_bytes=memory,
        memory_error=_error(memory, case.measured_peak_memory_bytes),
        fits=held.fits if held else None,
        basis=found.basis if found else None,
        constant_utilisation_s=found.floors.constant_utilisation_s if found else None,
        datasheet_roofline_s=found.floors.datasheet_roofline_s if found else None,
        assumed="; ".join(assumed),
        reason=reason,
    )


def unreadable_row(row: Unreadable) -> Row:
    """Return the row of a case that could not be read."""
    known = dict.fromkeys(("model", "device", "assumed"), "") | {"case_id": row.case_id, "stratum": row.stratum}
    known["reason"] = row.reason
    figures: dict[str, Any] = {each.name: known.get(each.name) for each in fields(Row)}
    return Row(**figures)


def _error(predicted: float | None, measured: float | None) -> float | None:
    return None if predicted is None or not measured else predicted / measured - 1.0


def report_of(rows: Sequence[Row]) -> Report:
    """Sum the rows up by stratum and altogether."""
    names = sorted({row.stratum for row in rows if row.stratum})
    strata = [_stratum(name, [row for row in rows if row.stratum == name]) for name in names]
    return Report(tuple(rows), (*strata, _stratum(ALL, rows)))


def _stratum(name: str, rows: Sequence[Row]) -> Stratum:
    timed = [row for row in rows if row.error is not None]
    errors = np.array([row.error for row in timed], dtype=np.float64)
    held = np.array([row.memory_error for row in rows if row.memory_error is not None], dtype=np.float64)
    return Stratum(
        stratum=name,
        n=len(rows),
        predicted=len(timed),
        median_error=_quantile(np.abs(errors), 0.5),
        p90_error=_quantile(np.abs(errors), 0.9),
        bias=_quantile(errors, 0.5),
        within_20_percent=_share(abs(error) <= CLOSE for error in errors.tolist()),
        coverage=_share(_covered(row) for row in timed),
        constant_utilisation_error=_floor_error(timed, "constant_utilisation_s"),
        datasheet_roofline_error=_floor_error(timed, "datasheet_roofline_s"),
        memory_predicted=len(held),
        memory_median_error=_quantile(np.abs(held), 0.5),
        memory_p90_error=_quantile(np.abs(held), 0.9),
    )


def _covered(row: Row) -> bool:
    measured = row.measured_step_time_s or 0.0
    return (row.low_s or 0.0) <= measured <= (row.high_s or 0.0)


def _floor_error(rows: Sequence[Row], name: str) -> float | None:
    ratios = [(getattr(row, name) or 0.0) / row.measured_step_time_s - 1 for row in rows if row.measured_step_time_s]
    return _quantile(np.abs(np.array(ratios, dtype=np.float64)), 0.5)


def _quantile(values: np.ndarray[tuple[int], np.dtype[np.float64]], share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def _share(flags: Iterable[bool]) -> float | None:
    listed = list(flags)
    return sum(listed) / len(listed) if listed else None
