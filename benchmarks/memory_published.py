"""Published peaks of memory against predictions, each source of them left out of the constants that come from it.

    python benchmarks/memory_accuracy.py --published CASES.csv

Two constants of `estimator/memory/parameters.csv` come from such rows: the ends of the range (`live_bytes`: spread
between and within sources, 80 % of a new source by Student's t) and what compiled layers do not keep (`compiled`: one
source). A document is a source; rows whose settings are not stated are predicted, and no part of the ends.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from estimator.memory.overheads import overhead_by
from estimator.memory.parameters import parameter_table
from estimator.ranges import Range
from estimator.validation.answering import answers
from estimator.validation.cases import Case, read_rows
from estimator.validation.defaults import completed
from estimator.validation.memory import MemoryPrediction, predict_memory
from estimator.validation.validate import Found
from hardware_db import load

UNSTATED = ("model_memory_anatomy",)
"""Documents that do not say how they measured."""

FARTHEST = 0.4
"""Error beyond which a row did not run as its document says."""

COMPILED = "torchtune"
"""The document that `compiled` comes from."""

Predicted = list[tuple[Case, MemoryPrediction]]


def document(case: Case) -> str:
    return case.source.partition(".md")[0]


def error(case: Case, found: MemoryPrediction) -> float | None:
    measured = case.measured_peak_memory_bytes
    return None if not measured else found.peak_memory_bytes.mid / measured - 1


def profiled(path: Path) -> list[Found]:
    """Return the rows of a file whose memory can be predicted, each with its device and profile."""
    hardware, waiting, known = load(), defaultdict(list), []
    for case in read_rows(path):
        if isinstance(case, Case):
            found = Found(case, hardware.device(case.device))
            found.case, found.assumed = completed(case, found.device)
            for question, quantity in found.questions():
                if quantity == "memory":
                    waiting[question].append(found)
    for question, profile, reason in answers(list(waiting), path.resolve().parent, 1):
        for found in waiting[question]:
            found.predict("memory", profile, reason)
            known += [(found, profile)] if found.memory else []
    return known


def predicted(known: list, only: str | None = None) -> Predicted:
    return [
        (found.case, predict_memory(found.case, profile, found.device))
        for found, profile in known
        if only is None or document(found.case) == only
    ]


def ends(rows: Predicted, left_out: str | None) -> tuple[float, float]:
    """Return the ends of the range of a source that is not among the rows."""
    logs = defaultdict(list)
    for case, found in rows:
        off = error(case, found)
        stated = off is not None and abs(off) <= FARTHEST and not any(page in case.source for page in UNSTATED)
        if stated and document(case) != left_out:
            logs[document(case)].append(-math.log1p(off))
    within = np.mean([np.var(values, ddof=1) for values in logs.values() if len(values) > 1])
    between = np.mean([np.mean(values) ** 2 for values in logs.values()])
    number = len(logs)
    reach = student.ppf(0.9, number - 1) * math.sqrt((between + within) * (1 + 1 / number))
    return math.exp(-reach), math.exp(reach)


@contextmanager
def constants(live: tuple[float, float], compiled: bool) -> Iterator[None]:
    """Other constants for a while."""
    table = parameter_table()
    before = dict(table)
    table["any", "live_bytes"] = replace(before["any", "live_bytes"], value=Range(live[0], 1.0, live[1]))
    if not compiled:
        table["any", "compiled"] = replace(before["any", "compiled"], value=Range.exactly(0.0))
    overhead_by.cache_clear()
    try:
        yield
    finally:
        table.update(before)
        overhead_by.cache_clear()


def told(name: str, rows: Predicted) -> str:
    """Return one line of the report."""
    offs = [off for case, found in rows if (off := error(case, found)) is not None]
    inside = sum(
        found.peak_memory_bytes.low <= case.measured_peak_memory_bytes <= found.peak_memory_bytes.high
        for case, found in rows
        if case.measured_peak_memory_bytes
    )
    right = sum((found.fits is not False) != case.out_of_memory for case, found in rows)
    sizes = np.abs(offs)
    return (
        f"{name[-44:]:<46}{len(rows):>4}{np.median(sizes):>9.1%}{np.quantile(sizes, 0.9):>9.1%}{np.median(offs):>+9.1%}"
        f"{inside:>8} of {len(offs):<4}{right:>6} of {len(rows)}"
    )


def main(path: Path) -> None:
    """Print errors with each source left out of the constants, then with all of them in."""
    known = profiled(path)
    whole = predicted(known)
    names = sorted({document(case) for case, _ in whole})
    left: dict[str, Predicted] = {}
    for name in names:
        with constants(ends(whole, name), COMPILED not in name):
            left[name] = predicted(known, name)
    low, high = ends(whole, None)
    print(f"{'rows':<46}{'n':>4}{'median':>9}{'p90':>9}{'bias':>9}{'in 80 %':>15}{'fits right':>12}")
    print(told("each source left out", [row for rows in left.values() for row in rows]))
    for name in names:
        print(told(name, left[name]))
    with constants((low, high), compiled=True):
        print(told(f"all in, ends {low:.3f} and {high:.3f}", predicted(known)))
