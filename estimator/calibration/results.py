"""What a calibration leaves behind: tables of parameters, factors, spreads and left-out predictions."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import numpy as np

from estimator.calibration.design import join, step_seconds
from estimator.calibration.effects import KINDS
from estimator.timing.corrections import forget_tables, libraries, published_correction
from estimator.timing.parameters import parameter_table, parameters_of
from estimator.validation.execution import execution_of
from estimator.validation.floors import GENERAL
from estimator.validation.order import job_of

if TYPE_CHECKING:
    from estimator.calibration.design import Sample
    from estimator.calibration.fit import Calibration
    from estimator.calibration.samples import Labelled, Left

TIMING: Final = Path(__file__).resolve().parent.parent / "timing"
VALIDATION: Final = Path(__file__).resolve().parent.parent / "validation"
HERE: Final = Path(__file__).resolve().parent
FEWEST_RESIDUALS: Final = 20
LOW, HIGH = 0.10, 0.90

Row = dict[str, object]


def report_left(left: Iterable[Left]) -> None:
    """Say how many cases are no samples, and why."""
    for reason, count in Counter(each.reason for each in left).most_common():
        click.echo(f"left out: {count} cases, {reason}")


def write(calibrations: Sequence[Calibration]) -> None:
    """Write all tables."""
    _write(TIMING / "parameters.csv", parameter_rows(calibrations))
    _write(TIMING / "factors.csv", [row for each in calibrations for row in factor_rows(each)])
    _write(VALIDATION / "utilisation.csv", utilisation_rows([each for c in calibrations for each in c.labelled]))
    forget_tables()
    _write(HERE / "residuals.csv", [row for each in calibrations for row in residual_rows(each.kind, each.labelled)])
    if all(each.left_out for each in calibrations):
        _write(TIMING / "spreads.csv", [row for each in calibrations for row in spread_rows(each)])
        _write(HERE / "left_out.csv", [row for each in calibrations for row in left_out_rows(each)])


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    click.echo(f"wrote {path}")


def parameter_rows(calibrations: Sequence[Calibration]) -> list[Row]:
    """Return the table of parameters with the fitted values."""
    values = {each.kind: each.fitted.parameters for each in calibrations}
    return [
        {
            "kind": each.kind,
            "name": each.name,
            "value": f"{values.get(each.kind, {}).get(each.name, each.value):.4g}",
            "expected": f"{each.expected:.4g}",
            "spread": each.spread,
            "unit": each.unit,
            "meaning": each.meaning,
        }
        for each in parameter_table()
    ]


def factor_rows(calibration: Calibration) -> list[Row]:
    """Return the factors of vendors, architectures and devices, with the steps and sources behind each."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in calibration.labelled:
        sources["device", each.device.id].add(each.case.stratum)
        sources["architecture", each.device.architecture].add(each.case.stratum)
        sources["vendor", libraries(each.device)].add(each.case.stratum)
    return [
        {
            "scope": scope,
            "name": name,
            "quantity": quantity,
            "factor": f"{factor:.4f}",
            "n": calibration.fitted.count.get((scope, name), 0),
            "sources": " ".join(sorted(sources[scope, name])) or "operators",
        }
        for scope in ("vendor", "architecture", "device")
        for (name, quantity), factor in calibration.fitted.factors(scope).items()
    ]


def residual_rows(kind: str, labelled: Sequence[Labelled]) -> list[Row]:
    """Return what the written tables say of every step that they were fitted to, beside what was measured."""
    design = join([_known(each) for each in labelled])
    p = parameters_of(kind)
    seconds = step_seconds({name: design.term(name, p) for name in KINDS}, np.ones(design.n), p)
    return [
        {
            "case_id": each.case.case_id,
            "stratum": each.case.stratum,
            "device": each.device.id,
            "measured_s": f"{each.sample.measured_s:.6g}",
            "predicted_s": f"{predicted:.6g}",
        }
        for each, predicted in zip(labelled, seconds.tolist(), strict=True)
    ]


def _known(each: Labelled) -> Sample:
    return replace(each.sample, machine=published_correction(each.device).applied(each.sample.machine))


def utilisation_rows(labelled: Iterable[Labelled]) -> list[Row]:
    """Return the median share of the datasheet peak that measured steps reached, by precision and over all."""
    reached: dict[str, list[float]] = defaultdict(list)
    for each in labelled:
        share = ideal_seconds(each.sample) / each.sample.measured_s
        for name in (GENERAL, each.case.precision or GENERAL):
            reached[name].append(share)
    return [
        {"precision": name, "utilisation": f"{np.median(shares):.4f}", "n": len(shares)}
        for name, shares in sorted(reached.items())
    ]


def ideal_seconds(sample: Sample) -> float:
    """Return the seconds of a step's products at the datasheet peak."""
    work, once = sample.work, float(sample.with_optimizer)
    weight = work.calls * np.where(work.optimizer, once, float(sample.accumulation))
    peak = np.broadcast_to(sample.machine.peak, (work.n,))
    parts = ((part.row, part.flops) for part in (work.products, work.recurrent, work.kernels))
    return float(sum((flops / peak[rows] * weight[rows]).sum() for rows, flops in parts))


def spread_rows(calibration: Calibration) -> list[Row]:
    """Return the 10th and 90th percentile of measured over predicted time, by execution and basis of left-out cases.

    A known device: cases of sources and families left out. Others: cases of devices left out.
    """
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for left in calibration.left_out.values():
        for at, each in enumerate(calibration.labelled):
            ratio = each.sample.measured_s / left.seconds[at]
            ratios[execution_of(each.case).execution, left.basis[at]].append(ratio)
    rows: list[Row] = []
    for (execution, basis), values in sorted(ratios.items()):
        if len(values) >= FEWEST_RESIDUALS:
            low, high = np.quantile(values, [LOW, HIGH])
            # A prediction lies in its own range, whatever its bias on the cases left out.
            numbers = {"low": f"{min(low, 1.0):.3f}", "high": f"{max(high, 1.0):.3f}", "n": len(values)}
            rows.append({"kind": calibration.kind, "execution": execution, "basis": basis, **numbers})
    return rows


def left_out_rows(calibration: Calibration) -> list[Row]:
    """Return every prediction of a case by a fit that had not seen it."""
    rows: list[Row] = []
    for scheme, left in calibration.left_out.items():
        for at, each in enumerate(calibration.labelled):
            rows.append(
                {
                    "left_out": scheme,
                    "case_id": each.case.case_id,
                    "stratum": each.case.stratum,
                    "device": each.device.id,
                    "basis": left.basis[at],
                    "measured_s": f"{each.sample.measured_s:.6g}",
                    "predicted_s": f"{left.seconds[at]:.6g}",
                    "job": job_of(each.case),
                    "samples": (each.case.micro_batch_size or 0) * (each.case.gradient_accumulation_steps or 1) or "",
                }
            )
    return rows
