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


def covered(found: Sequence[Outcome], everything: Sequence[Outcome]) -> float:
    """Return the share of steps inside the range that other sources give; of a lone source, other software."""
    inside = 0
    for source in {each.source for each in found}:
        mine = [each for each in found if each.source == source]
        others = [each for each in everything if each.source != source]
        low, high = range_of([each for each in others if each.stack == mine[0].stack] or others)
        inside += sum(low <= each.ratio <= high for each in mine)
    return inside / len(found)


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
    _write(PARALLEL / "ranges.csv", [
        {"stack": name, "low": f"{range_of(mine)[0]:.3f}", "high": f"{range_of(mine)[1]:.3f}", "n": len(mine)}
        for name, mine in stacks.items()
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
