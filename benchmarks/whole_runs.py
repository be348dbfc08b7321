"""Hours of published whole runs against the prediction: `python benchmarks/whole_runs.py RUNS.csv [--rows N]`.

Columns: case_id, stratum, model, device, device_count, tokens_or_samples, unit, wall_hours, and where known precision,
global_batch_size, sequence_length, cost_usd. A row is predicted where it names a model and a device that are known and
says how many samples were trained on; every other row is counted with its reason. Nothing is taken from a row that its
run was not started with, except the samples until the target was reached.

A row that names no model that ships, or no samples, is predicted where `published_recipes.csv` says what it was, with
the paper that says so: its dimensions where they are known, else a model of that many parameters (`params=34B`).

Assumed where a row is silent: the best half precision of the device, a compiled step for MLPerf's submissions, llm.c
and nanoGPT, 512 tokens for BERT (256 unpadded) and 2,048 for GPT-3, which is split as fast as the search knows, a batch
of 4 M tokens of a split language model and of 256 samples else, rounded to what the devices
can share ("4 M" is 2^22). Hours are
training steps alone: MLPerf leaves starting up out, and its evaluations and data loading are part of the error.
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
from estimator.claims.asking import BEST
from estimator.parallel.network import network_of, usual_system
from estimator.plan import Job, search
from estimator.plan.job import stack_for
from estimator.ranges import Range
from estimator.whole_run.run_time import tuned
from estimator.workload import Workload
from hardware_db import Device, load
from hardware_db.errors import FlopcastError, UsageError
from hardware_db.units import parse_precision
from profiles import recall
from profiles.model_profile import ModelProfile
from profiles.request import ProfileRequest

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

COMPILED = ("mlperf", "llm.c", "nanoGPT", "tinyllama")
"""Strata whose steps are compiled, or written by hand as a compiler would."""

FEWEST_STEPS = 100
"""Fewer are a batch that was given in tokens."""

BATCH = 256
BATCH_TOKENS = 4e6
LEAST = 1000
"""Samples below this are another unit (epochs, evaluations), whatever the row says."""


@dataclass(frozen=True)
class Recipe:
    """What a row was, where it does not say so: model, tokens of a sequence, samples, whether to split it, device.

    `each`: samples of a step that a device takes, in half and in full precision; `half_layout`: how images lie in
    memory in half precision ("channels_last"), contiguous in full; `compiled`: as a compiler makes it (XLA too).
    """

    model: str
    length: int | None = None
    samples: float | None = None
    splits: bool = False
    device: str | None = None
    each: tuple[int, int] | None = None
    half_layout: str | None = None
    compiled: bool = False

    def batch_of(self, precision: str, count: int) -> int | None:
        """Return the samples of a step of so many devices; None where the recipe does not say."""
        return None if self.each is None else self.each[not is_half(precision)] * count


def is_half(precision: str) -> bool:
    """Whether products run in 16 bits."""
    return precision.endswith("float16")


@cache
def recipes() -> list[tuple[dict[str, str], Recipe]]:
    """Return the rows of published_recipes.csv (start of the stratum, part of the source, start of the name), read."""
    with Path(__file__).with_name("published_recipes.csv").open(encoding="utf-8", newline="") as file:
        return [(row, _recipe(row)) for row in csv.DictReader(file)]


def _recipe(row: dict[str, str]) -> Recipe:
    each = (int(row["device_batch_half"]), int(row["device_batch_full"])) if row["device_batch_half"] else None
    length, samples = int(row["sequence_length"] or 0) or None, float(row["samples"] or 0) or None
    laid_out, compiled = row["half_layout"] or None, bool(row["compiled"])
    return Recipe(row["model"], length, samples, bool(row["splits"]), row["device"] or None, each, laid_out, compiled)


def recipe_of(row: dict[str, str]) -> Recipe:
    """Return what a row was.

    Raises
    ------
    UsageError
        nobody says
    """
    for of, recipe in recipes():
        named = of["name"] and (row["model"] or row["model_name"]).startswith(of["name"])
        if named and row["stratum"].startswith(of["stratum"]) and of["of"] in row.get("source", ""):
            return recipe
    shipped = next((name for start, name in RECORDED.items() if row["model"].startswith(start)), None)
    if shipped is None:
        raise UsageError("no model is named" if not row["model"] else "the model ships no profile")
    return Recipe(shipped, LENGTHS.get(shipped), None, shipped in SEARCHED)


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
    priced: bool

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


def samples_of(row: dict[str, str], recipe: Recipe, length: int | None) -> float:
    """Return the samples that a row was trained on."""
    given = float(row["tokens_or_samples"] or 0)
    if recipe.samples is not None:
        return recipe.samples
    if row["unit"].startswith(("images", "sequences")) and given > LEAST:
        return given
    if row["unit"].startswith(("tokens", "datapoints")) and given > LEAST and length:
        epochs = row["unit"].rpartition("epochs=")[2].rstrip(")")
        return given * (float(epochs) if epochs.replace(".", "").isdecimal() else 1.0) / length
    raise UsageError("does not say how many samples were trained on")


@cache
def profile_in(model: str, precision: str, length: int | None) -> ModelProfile:
    """Return a profile at this length: one that ships, or one made now (which needs torch)."""
    return recall.profile(model, ProfileRequest(precision=precision, sequence_length=length))


@cache
def _answered(recipe: Recipe, precision: str, device: str, size: tuple[int, int, int | None, bool]) -> Range:
    """Seconds of a step of (devices, batch, tokens, compiled)."""
    database = load()
    found = database.device(device)
    count, batch, length, compiled = size
    profile = profile_in(recipe.model, precision, length)
    if recipe.splits:
        return _split(profile, found, count, batch)
    laid_out = recipe.half_layout == "channels_last" and is_half(precision)
    run = TrainingRun(profile, steps=1, global_batch_size=batch, sequence_length=length, compiled=compiled,
                      channels_last=laid_out, overheads=None)  # fmt: skip
    network = network_of(found.logical_device(), usual_system(database, found))
    step = answer(Workload(run), database, Cluster(found, count, network))
    if step.step is None:
        raise UsageError(step.why_not.text.splitlines()[0] if step.why_not else "no step")
    return step.step.total


def _split(profile: ModelProfile, device: Device, count: int, batch: int) -> Range:
    one = device.logical_device()
    network = network_of(one, usual_system(load(), device))
    job = Job(profile, one, network, stack_for(profile, one), count * device.logical_devices, batch)
    best = search(job).best
    if best is None:
        raise UsageError("no split fits")
    return best.step.total


def predicted(row: dict[str, str]) -> Predicted:
    """Predict a row.

    Raises
    ------
    FlopcastError
        model or device is not known, the samples are not stated, or it cannot run as stated
    """
    recipe = recipe_of(row)
    device = load().device(recipe.device or row["device"])
    precision = _precision(row, device)
    count = int(float(row["device_count"] or 0))
    batch = row["global_batch_size"] or recipe.batch_of(precision, count) or ""
    row = row | {"global_batch_size": str(batch)}
    if not (count and row["wall_hours"]):
        raise UsageError("does not say how many devices or hours")
    length = int(float(row["sequence_length"])) if row["sequence_length"] else recipe.length
    length = UNPADDED if "unpadded" in row["unit"] else length
    samples = samples_of(row, recipe, length)
    stepwise = _batch(row, recipe, length, samples, count * device.logical_devices)
    compiled = recipe.compiled or row["stratum"].startswith(COMPILED)
    step = _answered(recipe, precision, device.id, (count, stepwise, length, compiled))
    hours = tuned(step) * (samples / stepwise / 3600)
    _possible(profile_in(recipe.model, precision, length), samples, float(row["wall_hours"]) * count, device)
    return Predicted(row["case_id"], row["stratum"], recipe.model, device.id, count, float(row["wall_hours"]), hours,
                     bool(row["cost_usd"]))  # fmt: skip


def _possible(profile: ModelProfile, samples: float, device_hours: float, device: Device) -> None:
    """Refuse a row whose devices would have computed faster than their peak."""
    flops = profile.model_flops.forward + profile.model_flops.backward
    peak = device.peak_flops_per_s(profile.precision)
    if samples * flops / profile.batch_size > peak * device_hours * 3600:
        raise UsageError("says that its devices computed faster than their peak")


def _precision(row: dict[str, str], device: Device) -> str:
    asked = parse_precision(row["precision"]) if row["precision"] else None
    precision = asked if asked in BEST else next((each for each in BEST if device.supports(each)), None)
    if precision is None:
        raise UsageError(f"no peak of {device.id} is published")
    return precision


def _batch(row: dict[str, str], recipe: Recipe, length: int | None, samples: float, unit: int) -> int:
    """Return the samples of a step, as many for each device."""
    usual = BATCH_TOKENS / length if recipe.splits and length else BATCH
    stated = float(row["global_batch_size"] or usual)
    in_tokens = row["unit"].startswith(("tokens", "datapoints"))
    if length and in_tokens and (samples / stated < FEWEST_STEPS or stated > 100 * length):
        stated /= length
    if not recipe.splits:
        return max(1, round(stated / unit)) * unit
    exact = recipe.each is not None or (row["global_batch_size"] and not in_tokens)
    return round(stated) if exact else _in_binary(stated)


def _in_binary(stated: float) -> int:
    """Return a batch that was told in round decimals as the number that is shared: "4 M tokens" are 2^22."""
    unit = max(1, 2 ** (int(stated).bit_length() - 3))
    return max(1, round(stated / unit)) * unit


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
    priced = [each for each in found if each.priced]
    if priced:
        yield f"dollars at the price that a row was paid at: {sum(e.inside for e in priced)} of {len(priced)} in range"
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
