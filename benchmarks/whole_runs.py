"""Hours of published whole runs against the prediction: `python benchmarks/whole_runs.py RUNS.csv [--rows N]`.

Columns: case_id, stratum, model, device, device_count, tokens_or_samples, unit, wall_hours, and where known precision,
global_batch_size, sequence_length, cost_usd. A row is predicted where it names a model and a device that are known and
says how many samples were trained on; every other row is counted with its reason. Nothing is taken from a row that its
run was not started with, except the samples until the target was reached.

Assumed where a row is silent: the best half precision of the device, a compiled step for MLPerf's submissions, llm.c
and nanoGPT, 512 tokens for BERT (256 unpadded) and 2,048 for GPT-3, which is split as fast as the search knows, a batch
rounded to what the devices can share. Hours are training steps alone: MLPerf leaves starting up out, and its
evaluations and data loading are part of the error.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from estimator import TrainingRun
from estimator.answer import Cluster, answer
from estimator.claims.asking import BEST, profile_of, split_over
from estimator.parallel.network import network_of, usual_system
from estimator.ranges import Range
from estimator.workload import Workload
from hardware_db import load
from hardware_db.errors import FlopcastError, UsageError
from hardware_db.units import parse_precision

RECORDED = {
    "torchvision:resnet50": "resnet50",
    "hf:bert,num_hidden_layers=24": "bert-large",
    "hf:bert,num_hidden_layers=12": "bert-base",
    "hf:gpt2,n_layer=96": "gpt3-175b",
    "hf:gpt2,n_layer=12": "gpt2",
    "hf:gpt2,n_layer=48": "gpt2-xl",
    "hf:gpt2,n_layer=36": "gpt2-large",
    "hf:gpt2,n_layer=24": "gpt2-medium",
}
"""How a row names a model -> the profile of it that ships with flopcast."""

SEARCHED = ("gpt3-175b",)
"""Models whose submissions were split as fast as their teams knew how: the fastest split is searched."""

LENGTHS = {"bert-large": 512, "bert-base": 512, "gpt3-175b": 2048}
UNPADDED = 256
"""Tokens of a mean sequence of BERT's data, which MLPerf's submissions put through without padding: half of the 512 are
padding (Krell et al., 2021, arXiv:2107.02027)."""

COMPILED = ("mlperf", "llm.c", "nanoGPT")
"""Strata whose steps are compiled, or written by hand as a compiler would."""

FEWEST_STEPS = 100
"""Fewer are a batch that was given in tokens."""

BATCH = 256
LEAST = 1000
"""Samples below this are another unit (epochs, evaluations), whatever the row says."""

IMAGENET, EPOCHS = 1_281_167, 90
"""NVIDIA's recipes of ResNet-50 train for 90 epochs."""


@dataclass(frozen=True)
class Predicted:
    """One row: measured and predicted hours."""

    case_id: str
    stratum: str
    model: str
    device: str
    count: int
    measured_h: float
    hours: Range

    def __str__(self) -> str:
        span = f"{self.hours.mid:.3g} ({self.hours.low:.3g}-{self.hours.high:.3g})"
        return f"{self.case_id} {self.count} × {self.device} {self.model}: {self.measured_h:.3g} h, predicted {span}"

    @property
    def error(self) -> float:
        """Absolute relative error of the middle."""
        return abs(self.hours.mid / self.measured_h - 1)

    @property
    def inside(self) -> bool:
        """Whether the measured hours are in the 80 % range."""
        return self.hours.low <= self.measured_h <= self.hours.high


def samples_of(row: dict[str, str], model: str) -> float:
    """Return the samples that a row was trained on."""
    given = float(row["tokens_or_samples"] or 0)
    if row["unit"] in ("images", "sequences", "sequences (max 512, unpadded)") and given > LEAST:
        return given
    if row["unit"].startswith("tokens") and given > LEAST:
        return given / LENGTHS.get(model, 1024)
    if row["stratum"] == "nvidia-dle" and model == "resnet50":
        return IMAGENET * EPOCHS
    raise UsageError("does not say how many samples were trained on")


@cache
def _answered(model: str, precision: str, device: str, size: tuple[int, int, int | None, bool]) -> Range:
    """Seconds of a step of (devices, batch, tokens, compiled)."""
    database = load()
    found = database.device(device)
    count, batch, length, compiled = size
    if model in SEARCHED:
        return split_over(model, device, count * found.logical_devices, batch).step.total
    profile = profile_of(model, precision)
    run = TrainingRun(
        profile, steps=1, global_batch_size=batch, sequence_length=length, compiled=compiled, overheads=None
    )
    network = network_of(found.logical_device(), usual_system(database, found))
    step = answer(Workload(run), database, Cluster(found, count, network))
    if step.step is None:
        raise UsageError(step.why_not.text.splitlines()[0] if step.why_not else "no step")
    return step.step.total


def predicted(row: dict[str, str]) -> Predicted:
    """Predict a row.

    Raises
    ------
    FlopcastError
        model or device is not known, the samples are not stated, or it cannot run as stated
    """
    model = next((name for start, name in RECORDED.items() if row["model"].startswith(start)), None)
    if model is None:
        raise UsageError("no model is named" if not row["model"] else "the model ships no profile")
    device, count = load().device(row["device"]), int(float(row["device_count"]))
    asked = parse_precision(row["precision"]) if row["precision"] else None
    precision = asked if asked in BEST else next((each for each in BEST if device.supports(each)), None)
    if precision is None:
        raise UsageError(f"no peak of {device.id} is published")
    samples = samples_of(row, model)
    unit = count * device.logical_devices
    length = int(float(row["sequence_length"])) if row["sequence_length"] else LENGTHS.get(model)
    length = UNPADDED if "unpadded" in row["unit"] else length
    stated = float(row["global_batch_size"] or BATCH)
    if length and samples / stated < FEWEST_STEPS and row["unit"].startswith("tokens"):
        stated /= length
    batch = round(stated) if model in SEARCHED else max(1, round(stated / unit)) * unit
    compiled = row["stratum"].startswith(COMPILED)
    step = _answered(model, precision, device.id, (count, batch, length, compiled))
    hours = step * (samples / batch / 3600)
    return Predicted(row["case_id"], row["stratum"], model, device.id, count, float(row["wall_hours"]), hours)


def lines(found: list[Predicted], reasons: Counter[str]) -> Iterator[str]:
    """Yield the report: errors by stratum and model, and what could not be predicted."""
    groups: dict[str, list[Predicted]] = defaultdict(list)
    for each in found:
        groups[each.stratum].append(each)
        groups[f"  of {each.model}"].append(each)
    yield f"{'':32} {'rows':>5} {'median':>7} {'p90':>7} {'in range':>9}"
    for name, rows in [*sorted(groups.items()), ("all", found)]:
        errors = sorted(each.error for each in rows)
        p90 = errors[min(len(errors) - 1, int(0.9 * len(errors)))]
        inside = sum(each.inside for each in rows) / len(rows)
        yield f"{name:32} {len(rows):5} {median(errors):7.1%} {p90:7.1%} {inside:9.0%}"
    for reason, count in reasons.most_common(8):
        yield f"not predicted: {count} rows: {reason}"


def main() -> None:
    """Predict every row of the file and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--rows", type=int, help="only so many rows that can be predicted")
    parser.add_argument("--verbose", action="store_true", help="a line for every row")
    asked = parser.parse_args()
    found, reasons = [], Counter[str]()
    with asked.runs.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                found.append(predicted(row))
            except (FlopcastError, ValueError) as error:
                reasons[str(error).splitlines()[0][:90]] += 1
                continue
            if asked.verbose:
                print(found[-1], flush=True)
            if asked.rows and len(found) == asked.rows:
                break
    print("\n".join(lines(found, reasons)) if found else "no row can be predicted")


if __name__ == "__main__":
    main()
