"""Predictions beside measurements for the Accuracy page: steps that the fit had not seen, and the cases that ship."""

from __future__ import annotations

import csv
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd

from dashboard.figures import rounded
from dashboard.once import once
from estimator.validation.accuracy import SCHEMES, LeftOutCase, left_out_cases
from estimator.validation.published import Published, peers, predict_published, published_cases
from estimator.validation.report import Report, Row, report_of

FLOPCAST: Final = ("source", "device")
"""What is left out where flopcast stands beside other predictors."""
ERRORS: Final = ("median_error", "p90_error", "bias", "within_20_percent")
MOST_KEPT: Final = 32
"""Choices of strata whose tables and charts are kept."""
SHARES: Final = ("mean_error", "median_error", "p90_error", "bias", "within_20_percent", "error")
_EMPTY: Final[dict[str, Any]] = dict.fromkeys(Row.__dataclass_fields__)


@cache
def left_out(scheme: str) -> tuple[LeftOutCase, ...]:
    """Return the predictions of steps by fits without their source, family of models or device."""
    if scheme not in SCHEMES:
        raise KeyError(scheme)
    return tuple(case for case in left_out_cases() if case.left_out == scheme)


@lru_cache(maxsize=MOST_KEPT)
def left_out_of(scheme: str, strata: tuple[str, ...]) -> tuple[LeftOutCase, ...]:
    """Return those of some strata; of all where none is named."""
    return tuple(case for case in left_out(scheme) if not strata or case.stratum in strata)


@cache
def shipped() -> tuple[Published, ...]:
    """Return the measurements that ship, each with its source and its prediction."""
    return predict_published()


@lru_cache(maxsize=MOST_KEPT)
def left_out_report(cases: tuple[LeftOutCase, ...]) -> Report:
    """Return the errors by stratum, the last of which is all together."""
    return report_of([_row(case) for case in cases])


def _row(case: LeftOutCase) -> Row:
    known = {
        "case_id": case.case_id,
        "stratum": case.stratum,
        "basis": case.basis,
        "measured_step_time_s": case.measured_s,
        "predicted_step_time_s": case.predicted_s,
        "error": case.error,
    }
    return Row(**(_EMPTY | known))


@lru_cache(maxsize=MOST_KEPT)
def strata_table(cases: tuple[LeftOutCase, ...]) -> pd.DataFrame:
    """Return one row a stratum: cases, errors of what was left out, and where the measurements are from."""
    sources = _sources()
    rows = []
    for each in left_out_report(cases).strata:
        errors = {name: getattr(each, name) for name in ERRORS}
        rows.append({"stratum": each.stratum, "n": each.n, **errors, "source": sources.get(each.stratum, "")})
    return pd.DataFrame(rows)


def _sources() -> dict[str, str]:
    """Stratum -> repositories at their commits that its shipped cases are from."""
    found: dict[str, set[str]] = {}
    for case in published_cases():
        found.setdefault(case.stratum, set()).add((case.source or "").split(",")[0].rstrip("@"))
    shipped_here = frozenset(found)
    with (files("estimator.calibration") / "parallel_left_out.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):  # steps of many devices, of which the fit uses those that run on one
            if row["stratum"] not in shipped_here:
                found.setdefault(row["stratum"], set()).add(row["source"])
    return {name: "; ".join(sorted(sources)) for name, sources in found.items()}


@cache
def peers_table() -> pd.DataFrame:
    """Return what flopcast and other predictors say of the same cases: one row a predictor, flopcast's first.

    Columns: cases that it answers, mean and median absolute error on them.
    """
    said = peers()
    measured = {case.case_id: case.measured_step_time_s or np.nan for case in published_cases()}
    errors: dict[str, list[float]] = {}
    for scheme in FLOPCAST:
        name = f"flopcast, {SCHEMES[scheme]} left out"
        errors[name] = [case.error for case in left_out(scheme) if case.case_id in said]
    for case_id, others in said.items():
        for name, seconds in others.items():
            errors.setdefault(name, []).append(seconds / measured[case_id] - 1)
    rows = [
        {
            "predictor": name,
            "cases": len(values),
            "mean_error": float(np.mean(np.abs(values))),
            "median_error": float(np.median(np.abs(values))),
        }
        for name, values in errors.items()
    ]
    return pd.DataFrame(rows)


@cache
def cases_table() -> pd.DataFrame:
    """Return the measurements that ship: what, where, how long, what is predicted (by the full fit), and the source."""
    rows = [
        {
            "case": each.case.case_id,
            "stratum": each.case.stratum,
            "model": each.case.model,
            "device": each.case.device,
            "precision": each.case.precision,
            "measured_s": each.case.measured_step_time_s,
            "predicted_s": each.step_time.mid,
            "range_s": f"{each.step_time.low:.3g} to {each.step_time.high:.3g}",
            "error": each.error,
            "basis": each.basis,
            "source": each.case.source,
        }
        for each in shipped()
    ]
    return pd.DataFrame(rows)


@once
def legible(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its shares to three significant digits."""
    shown = table.copy()
    for name in SHARES:
        if name in table:
            shown[name] = [rounded(value) for value in table[name]]
    return shown
