"""How good predictions of steps on several devices are: errors by stratum, scaling efficiency, and order of pairs.

    python benchmarks/parallel_accuracy.py CASES.csv [--jobs 2]

CASES.csv is a table for `flopcast validate`. Steps on one device are used only as the base of the scaling efficiency:
time of one device over that of n, each with the same micro-batch. A pair is two ways to run the same job (model, tokens
or samples of a step) whose measured times differ by more than `APART`; it is right where the predictions are in that
order too. Models are traced once and kept (`flopcast validate` says more).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from statistics import median

import click
import numpy as np

from estimator.validation.cases import Case, read_cases
from estimator.validation.report import Row, report_of
from estimator.validation.validate import validate_cases
from hardware_db import load

APART = 0.05
"""Relative difference of two measured times from which on one of them counts as faster: the noise between hosts."""

Found = tuple[Case, Row]


def errors(found: list[Found]) -> list[str]:
    """Return the table of strata, steps on several devices alone."""
    report = report_of([row for case, row in found if case.device_count > 1])
    lines = [f"{'stratum':20} {'n':>4} {'median':>7} {'p90':>6} {'in range':>9} {'utilisation':>12} {'roofline':>9}"]
    for each in report.strata:
        if each.predicted:
            numbers = [each.median_error, each.p90_error, each.coverage, each.constant_utilisation_error]
            first, most, inside, floor = (100 * (value or 0.0) for value in numbers)
            roof = 100 * (each.datasheet_roofline_error or 0.0)
            figures = f"{first:6.1f}% {most:5.1f}% {inside:8.0f}% {floor:11.1f}% {roof:8.1f}%"
            lines.append(f"{each.stratum:20} {each.predicted:4} {figures}")
    return lines


def scaling(found: list[Found]) -> list[str]:
    """Return measured and predicted scaling efficiency of data parallel steps, by stratum and devices."""
    groups: dict[object, dict[int, list[Found]]] = defaultdict(lambda: defaultdict(list))
    for case, row in found:
        if case.model_devices == 1 and row.predicted_step_time_s and (case.gradient_accumulation_steps or 1) == 1:
            key = (case.stratum, case.model, case.device, case.precision, case.compile, case.micro_batch_size,
                   case.sequence_length, case.optimizer, case.activation_checkpointing)  # fmt: skip
            groups[key][case.device_count].append((case, row))
    differences: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for group in (each for each in groups.values() if 1 in each):
        base = median(row.measured_step_time_s or 0.0 for _, row in group[1])
        said = median(row.predicted_step_time_s or 0.0 for _, row in group[1])
        for count, many in group.items():
            for case, row in many if count > 1 else ():
                pair = base / (row.measured_step_time_s or np.inf), said / (row.predicted_step_time_s or np.inf)
                differences[case.stratum, count].append(pair)
    lines = [
        f"{'scaling':20} {'devices':>7} {'n':>4} {'measured':>9} {'predicted':>10} {'points off':>11} {'within 5':>9}"
    ]
    for (stratum, count), pairs in sorted(differences.items()):
        measured, predicted = np.array(pairs).T
        off = 100 * np.abs(predicted - measured)
        figures = (
            f"{np.median(measured):8.0%} {np.median(predicted):10.0%} {np.median(off):11.1f} {np.mean(off <= 5):9.0%}"
        )
        lines.append(f"{stratum:20} {count:7} {len(pairs):4} {figures}")
    return lines


def order(found: list[Found]) -> list[str]:
    """Return which share of the pairs of a job is predicted in the right order."""
    jobs: dict[object, list[Row]] = defaultdict(list)
    for case, row in found:
        if case.device_count > 1 and row.predicted_step_time_s and case.global_batch_size:
            jobs[case.model, case.global_batch_size, case.sequence_length, case.scope].append(row)
    shares = [share for rows in jobs.values() if (share := _right(combinations(rows, 2)))]
    right, pairs = sum(each for each, _ in shares), sum(count for _, count in shares)
    alike = np.mean([each / count for each, count in shares]) if shares else float("nan")
    whole = f"{right / max(pairs, 1):.1%} of {pairs:,} pairs"
    return [f"A faster than B: {whole}; {alike:.1%} in the mean of {len(shares)} jobs"]


def _right(pairs: Iterable[tuple[Row, Row]]) -> tuple[int, int] | None:
    right = count = 0
    for a, b in pairs:
        measured = (a.measured_step_time_s or 1.0) / (b.measured_step_time_s or 1.0)
        predicted = (a.predicted_step_time_s or 1.0) / (b.predicted_step_time_s or 1.0)
        if abs(np.log(measured)) > np.log1p(APART):
            count += 1
            right += (measured > 1) == (predicted > 1)
    return (right, count) if count else None


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--jobs", default=1, help="Processes that trace models.")
def main(path: Path, jobs: int) -> None:
    """Print the three tables."""
    cases = [case for case in read_cases(path) if case.training and case.measured_step_time_s]
    rows = validate_cases(cases, path.resolve().parent, jobs, load()).rows
    found = list(zip(cases, rows, strict=True))
    for table in (errors, scaling, order):
        click.echo("\n".join(table(found)) + "\n")


if __name__ == "__main__":
    main()
