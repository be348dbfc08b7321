"""`python -m tests.mutation [PATH ...] [--sample N]`: changes that no test notices; exit code 1 if there are any."""

from __future__ import annotations

import argparse
import csv
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.running import Runner, run
from tests.mutation.watching import Watcher

ROOT = Path(__file__).parents[2]
TARGETS = ROOT / "tests" / "mutation" / "targets.toml"
ALIKE = ROOT / "tests" / "mutation" / "alike.csv"


def main() -> int:
    """Try every change of the files asked for, or a sample of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", help="files of targets.toml; default: all")
    parser.add_argument("--sample", type=int, help="try this many changes, the same ones each time")
    parser.add_argument("--tests", nargs="+", help="tests that must notice; default: those of targets.toml")
    asked = parser.parse_args()
    with ALIKE.open(encoding="utf-8", newline="") as file:
        alike = {(row["file"], row["text"], row["change"]) for row in csv.DictReader(file)}
    unnoticed = 0
    for target in tomllib.loads(TARGETS.read_text(encoding="utf-8"))["target"]:
        files = [path for path in target["files"] if not asked.paths or path in asked.paths]
        if files:
            unnoticed += _try(files, tuple(asked.tests or target["tests"]), asked.sample, alike)
    return 1 if unnoticed else 0


def _try(files: list[str], tests: tuple[str, ...], sample: int | None, alike: set[tuple[str, str, str]]) -> int:
    """Print how the tests of these files did, and return how many changes they missed."""
    count = {path: Counter[str]() for path in files}

    def told(mutant: Mutant, noticed: bool) -> None:
        fate = "noticed" if noticed else "without effect" if mutant.key in alike else "missed"
        count[mutant.path][fate] += 1
        if fate == "missed":
            print(mutant, flush=True)

    watcher = Watcher(frozenset(str(ROOT / path) for path in files))
    run(Runner(_chosen(files, sample), watcher, told), tests)
    every = sum(count.values(), Counter[str]())
    for name, fates in (count | {"together": every} if len(files) > 1 else count).items():
        said = ", ".join(f"{fates[fate]} {fate}" for fate in ("noticed", "without effect", "missed"))
        print(f"{name}: {fates.total()} changes: {said}", flush=True)
    return every["missed"]


def _chosen(files: list[str], sample: int | None) -> Iterator[Mutant]:
    every = (mutant for path in files for mutant in mutants_of(path, ROOT))
    if sample is None:
        return every
    total = sum(1 for path in files for _ in mutants_of(path, ROOT))
    wanted = set(random.Random(0).sample(range(total), min(sample, total)))
    return (mutant for number, mutant in enumerate(every) if number in wanted)


if __name__ == "__main__":
    sys.exit(main())
