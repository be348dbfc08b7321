"""How much worse a choice by prediction is than by measurement: `python benchmarks/advice_regret.py STEPS.csv`.

STEPS.csv holds published steps in the columns that `flopcast validate` reads. A matrix is one model at one size in one
precision and software, timed by one source on at least three devices that somebody rents out. Of each the cheapest
step (seconds x the lowest price on demand) and the fastest are chosen by predictions that had not seen the device, or
the source, when they were fitted (`estimator/calibration/left_out.csv`); the regret is how much more the choice really
costs or takes than the best one, 0 where it is the best.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from estimator.validation.accuracy import left_out_cases
from hardware_db import load

ALIKE = ("stratum", "model", "task", "scope", "precision", "compile", "memory_format", "micro_batch_size",
         "gradient_accumulation_steps", "sequence_length", "image_size", "optimizer", "device_count")  # fmt: skip
"""Columns that are the same for all rows of a matrix."""

FEWEST = 3
ALLOWED = 0.05


@dataclass(frozen=True)
class Choice:
    """One device of a matrix: what a step takes by measurement and prediction [s], and what an hour costs [USD]."""

    device: str
    measured_s: float
    predicted_s: float
    usd_per_hour: float


def regret(choices: Sequence[Choice], weights: Sequence[float]) -> float:
    """Return how much more the choice by prediction takes, each second weighed, than the best.

    >>> regret([Choice("a", 1.0, 3.0, 1.0), Choice("b", 1.5, 2.0, 1.0)], [1.0, 1.0])
    0.5
    """
    chosen = min(range(len(choices)), key=lambda at: choices[at].predicted_s * weights[at])
    best = min(each.measured_s * weight for each, weight in zip(choices, weights, strict=True))
    return choices[chosen].measured_s * weights[chosen] / best - 1


def matrices(rows: Mapping[str, dict[str, str]], scheme: str) -> Iterator[list[Choice]]:
    """Yield the devices of each matrix, each once: the first row of a device stands for it."""
    prices = _prices()
    found: dict[tuple[str, ...], dict[str, Choice]] = defaultdict(dict)
    for case in left_out_cases():
        if case.left_out == scheme and case.case_id in rows:
            row = rows[case.case_id]
            device = load().device(row["device"]).id
            if device in prices:
                choice = Choice(device, case.measured_s, case.predicted_s, prices[device])
                found[tuple(row.get(name, "") for name in ALIKE)].setdefault(device, choice)
    yield from (list(each.values()) for each in found.values() if len(each) >= FEWEST)


def _prices() -> dict[str, float]:
    prices: dict[str, float] = {}
    for offer in load().offers(pricing="on_demand"):
        prices[offer.device] = min(prices.get(offer.device, offer.usd_per_device_hour), offer.usd_per_device_hour)
    return prices


def main() -> None:
    """Print mean, median and worst regret, and how many choices are within 5 %."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", type=Path)
    with parser.parse_args().steps.open(encoding="utf-8", newline="") as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    titles = f"{'left out':10} {'of':6} {'matrices':>9} {'devices':>8}"
    print(f"{titles} {'mean':>7} {'median':>7} {'p90':>7} {'within 5 %':>11}")
    for scheme in dict.fromkeys(case.left_out for case in left_out_cases()):
        found = list(matrices(rows, scheme))
        for name in ("cost", "time") if found else ():
            regrets = sorted(regret(each, [c.usd_per_hour if name == "cost" else 1.0 for c in each]) for each in found)
            within = mean(value <= ALLOWED for value in regrets)
            p90 = regrets[min(len(regrets) - 1, int(0.9 * len(regrets)))]
            size = f"{scheme:10} {name:6} {len(found):9} {mean(len(each) for each in found):8.1f}"
            print(f"{size} {mean(regrets):7.1%} {median(regrets):7.1%} {p90:7.1%} {within:11.0%}")


if __name__ == "__main__":
    main()
