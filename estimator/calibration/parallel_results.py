"""What the fit of split steps leaves behind: factors, ranges, and how far off steps were that it had not seen."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from estimator.parallel.adjust import Factor

PARALLEL: Final = Path(__file__).resolve().parent.parent / "parallel"
HERE: Final = Path(__file__).resolve().parent
LOW, HIGH = 10, 90
INSIDE = 0.8
SOURCES: Final = 3
"""Sources err alike within themselves, so that fewer say too little of a further one."""
SCHEMES: Final = ("source", "architecture", "family")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A measured step and what is said of it: `fitted_s` in sample, `left_out_s` by what was left out of the fit."""

    case_id: str
    stratum: str
    source: str
    stack: str
    measured_s: float
    fitted_s: float
    left_out_s: dict[str, float]
    floor_s: float

    def error(self, scheme: str | None = None) -> float:
        """Absolute relative error, in sample or without what is like it."""
        seconds = self.fitted_s if scheme is None else self.left_out_s[scheme]
        return abs(seconds / self.measured_s - 1)

    @property
    def ratio(self) -> float:
        """Measured seconds over those predicted without its source."""
        return self.measured_s / self.left_out_s["source"]


def range_of(found: Sequence[Outcome]) -> tuple[float, float]:
    """Return the 10th and 90th percentile of measured over predicted, every stratum weighing alike."""
    counts = {each.stratum: sum(other.stratum == each.stratum for other in found) for each in found}
    order = sorted(found, key=lambda each: each.ratio)
    weights = np.cumsum([1 / counts[each.stratum] for each in order])
    low, high = (order[int(np.searchsorted(weights, weights[-1] * end / 100))].ratio for end in (LOW, HIGH))
    return min(low, 1.0), max(high, 1.0)


def range_for(stack: str, found: Sequence[Outcome]) -> tuple[float, float]:
    """Return the range of a program: its own, of fewer than `SOURCES` no narrower than that of all programs."""
    mine = [each for each in found if each.stack == stack]
    low, high = range_of(mine or found)
    if len({each.source for each in mine}) >= SOURCES:
        return low, high
    lowest, highest = range_of(found)
    return min(low, lowest), max(high, highest)


def inside(found: Sequence[Outcome], everything: Sequence[Outcome], power: float) -> dict[str, float]:
    """Return for every step whether it lies in the range that other sources give, their logs times `power`."""
    known: dict[str, float] = {}
    for source in {each.source for each in found}:
        mine = [each for each in found if each.source == source]
        others = [each for each in everything if each.source != source]
        for stack in {each.stack for each in mine}:
            low, high = range_for(stack, others)
            known |= {
                each.case_id: float(low**power <= each.ratio <= high**power) for each in mine if each.stack == stack
            }
    return known


def widening(everything: Sequence[Outcome]) -> float:
    """Return the power by which ranges grow so that they hold `INSIDE` of the steps of sources that they never saw.

    The percentiles of some sources say too little of a further one: sources err alike within themselves. Strata weigh
    alike.
    """
    powers = np.arange(1.0, 3.0, 0.05)
    return float(next((power for power in powers if _share_inside(everything, float(power)) >= INSIDE), powers[-1]))


def _share_inside(everything: Sequence[Outcome], power: float) -> float:
    known = inside(everything, everything, power)
    strata = {each.stratum: [known[other.case_id] for other in everything if other.stratum == each.stratum]
              for each in everything}  # fmt: skip
    return float(np.mean([np.mean(values) for values in strata.values()]))


def covered(found: Sequence[Outcome], everything: Sequence[Outcome]) -> float:
    """Return the share of steps inside the widened range that other sources give."""
    known = inside(found, everything, widening([each for each in everything if each not in found] or everything))
    return sum(known.values()) / len(known)


def report(found: Sequence[Outcome]) -> str:
    """Return the table of errors by stratum."""
    schemes = " ".join(f"no {each[:9]:>9} {'p90':>6}" for each in SCHEMES)
    lines = [f"{'stratum':18} {'n':>4} {'fitted':>7} {'p90':>6} {schemes} {'in range':>9} {'utilisation':>12}"]
    for name in (*sorted({each.stratum for each in found}), None):
        mine = [each for each in found if name is None or each.stratum == name]
        lines.append(_line(name or "all", mine, found))
    return "\n".join(lines)


def _line(name: str, mine: Sequence[Outcome], everything: Sequence[Outcome]) -> str:
    def figures(errors: Iterable[float]) -> tuple[float, float]:
        values = np.array(list(errors)) * 100
        return float(np.median(values)), float(np.percentile(values, HIGH))

    median, most = figures(each.error() for each in mine)
    text = f"{name:18} {len(mine):4} {median:6.1f}% {most:5.1f}%"
    for scheme in SCHEMES:
        median, most = figures(each.error(scheme) for each in mine)
        text += f" {median:11.1f}% {most:5.1f}%"
    floor, _ = figures(abs(each.floor_s / each.measured_s - 1) for each in mine)
    return f"{text} {100 * covered(mine, everything):8.0f}% {floor:11.1f}%"


def write(factors: Sequence[Factor], found: Sequence[Outcome]) -> None:
    """Write all tables."""
    _write(PARALLEL / "factors.csv", [
        {"stack": each.stack, "architecture": each.architecture, "what": each.what, "factor": f"{each.factor:.3f}",
         "spread": each.spread, "meaning": each.meaning}
        for each in factors
    ])  # fmt: skip
    stacks = {each.stack: [other for other in found if other.stack == each.stack] for each in found}
    power = widening(found)
    ends = {name: [f"{end**power:.3f}" for end in range_for(name, found)] for name in stacks}
    _write(PARALLEL / "ranges.csv", [
        {"stack": name, "low": ends[name][0], "high": ends[name][1], "n": len(mine)} for name, mine in stacks.items()
    ])  # fmt: skip
    _write(HERE / "parallel_left_out.csv", [
        {"case_id": each.case_id, "stratum": each.stratum, "source": each.source, "stack": each.stack,
         "measured_s": f"{each.measured_s:.6g}", "fitted_s": f"{each.fitted_s:.6g}",
         **{f"without_{scheme}_s": f"{each.left_out_s[scheme]:.6g}" for scheme in SCHEMES}}
        for each in found
    ])  # fmt: skip


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
