"""Real training steps of fourteen models on this CPU against what `flopcast benchmark` lets one predict.

    python benchmarks/cpu_steps.py [--seconds 10] [--threads 2] [--rounds 2] [-o result.json]

Every round benchmarks the machine for the given seconds, then times the steps; the figures of a case are the best of
all rounds, so that load which comes and goes spoils neither side alone. Predicted are the traced operations of a model,
priced by the costs of the machine profile; no step is used to predict any other.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from hardware_db import load
from profiles.benchmark.costs import seconds_by_row
from profiles.benchmark.fitting import fit_figures
from profiles.benchmark.sampling import Effort
from profiles.benchmark.session import Plan, measure, time_case
from profiles.benchmark.steps import step_case
from profiles.benchmark.target import Target, targets
from profiles.definitions import profile_definition
from profiles.machine_profile import Timing
from profiles.models import ModelDefinition, Sizes, resolve
from profiles.request import ProfileRequest
from profiles.tables import OperationTable
from profiles.trace.settings import StepSettings

OWN = f"{Path(__file__).with_name('cpu_models.py')}:"
SETTINGS = StepSettings("train", "float32", "adamw", "cpu")
STEP = Effort(seconds=3.0, fewest=5, most=40, repeat_s=0.0)


@dataclass(frozen=True)
class Model:
    """A MODEL and its size; None: its own."""

    name: str
    spec: str
    batch_size: int | None = None
    sequence_length: int | None = None
    image_size: int | None = None


BERT = "num_attention_heads=2,intermediate_size=512"

MODELS = (
    Model("mlp", f"{OWN}mlp"),
    Model("cnn", f"{OWN}cnn"),
    Model("resnet18", "resnet18", 4, None, 128),
    Model("mobilenet-v2", "mobilenet-v2", 4, None, 128),
    Model("lstm", f"{OWN}lstm"),
    Model("gru", f"{OWN}gru"),
    Model("encoder", f"{OWN}encoder"),
    Model("gpt2, 4 layers", "hf:gpt2,n_layer=4,n_embd=384,n_head=6,vocab_size=8000", 2, 128),
    Model(
        "bert, tiny", "hf:bert,num_hidden_layers=2,hidden_size=128,num_attention_heads=2,intermediate_size=512", 8, 64
    ),
    Model("vit, tiny", f"{OWN}vit"),
    Model("unet, small", f"{OWN}unet"),
    Model("mixer", f"{OWN}mixer"),
    Model("dlrm", f"{OWN}dlrm"),
    Model("autoencoder", f"{OWN}autoencoder"),
)


@dataclass(frozen=True)
class Result:
    """Seconds of one training step of a model: as measured, by the clock on the wall, and as predicted."""

    name: str
    measured_s: float
    wall_s: float
    predicted_s: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted_s / self.measured_s


def main() -> None:
    """Measure, predict, print a line a model and the median error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each benchmark")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    target = targets("cpu", torch, load())[0]
    sized = [(model, *_definition(model)) for model in MODELS]
    tables = {model.name: _table(definition, model) for model, definition, _ in sized}
    cases: dict[str, Timing] = {}
    steps: dict[str, Timing] = {}
    for _ in range(asked.rounds):
        _keep_best(cases, {each.name: each for each in measure(target, Plan(budget_s=asked.seconds)).timings})
        _keep_best(steps, {model.name: _step(definition, sizes, target) for model, definition, sizes in sized})
    results = _results(tables, steps, {f.name: f.value for f in fit_figures("cpu", list(cases.values()))})
    _print(results, asked.seconds)
    if asked.output:
        asked.output.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n", encoding="utf-8")


def _definition(model: Model) -> tuple[ModelDefinition, Sizes]:
    definition = replace(resolve(model.spec), name=model.name)
    return definition, definition.sizes(model.batch_size, model.sequence_length, model.image_size)


def _table(definition: ModelDefinition, model: Model) -> OperationTable:
    sizes = {name: getattr(model, name) for name in ("batch_size", "sequence_length", "image_size")}
    return profile_definition(definition, ProfileRequest(device="cpu", **sizes)).table()


def _step(definition: ModelDefinition, sizes: Sizes, target: Target) -> Timing:
    return time_case(target, step_case(definition, sizes, SETTINGS), STEP)[0]


def _keep_best(best: dict[str, Timing], found: dict[str, Timing]) -> None:
    for name, timing in found.items():
        if name not in best or timing.typical_s < best[name].typical_s:
            best[name] = timing


def _results(tables: dict[str, OperationTable], steps: dict[str, Timing], figures: dict[str, float]) -> list[Result]:
    results = []
    for name, table in tables.items():
        predicted = float((seconds_by_row(table, figures).total * table.count.astype(float)).sum())
        results.append(Result(name, steps[name].typical_s, min(steps[name].wall_seconds), predicted))
    return results


def _print(results: list[Result], seconds: float) -> None:
    print(f"{'MODEL':16}{'MEASURED':>10}{'PREDICTED':>11}{'RATIO':>7}{'WALL':>9}")
    for each in results:
        figures = f"{1e3 * each.measured_s:8.1f}ms{1e3 * each.predicted_s:9.1f}ms{each.ratio:7.2f}"
        print(f"{each.name:16}{figures}{1e3 * each.wall_s:7.1f}ms")
    errors = [abs(each.ratio - 1) for each in results]
    median, mean = statistics.median(errors), statistics.fmean(errors)
    print(f"\nmedian error {median:.1%}, mean {mean:.1%}, worst {max(errors):.0%}, after {seconds:g} s of benchmark")


if __name__ == "__main__":
    main()
