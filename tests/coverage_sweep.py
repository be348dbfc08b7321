"""Trace a training step of every model type of transformers and of every model of timm, and write docs/coverage.md.

    .venv/bin/python tests/coverage_sweep.py                 # all that build/coverage.jsonl does not have yet
    .venv/bin/python tests/coverage_sweep.py --again llama   # these again, with the reason of a failure
    .venv/bin/python tests/coverage_sweep.py --write         # docs/coverage.md from build/coverage.jsonl

One process per chunk, so that a model that ends its process costs no other model; each model has a limit of processor
time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

RESULTS = Path(__file__).parents[1] / "build" / "coverage.jsonl"
SECONDS_PER_MODEL = 240
CHUNK = 40
LAYERS = 2
SEQUENCE = 64
LONGEST_TEXT = 1024
BATCH = 2
# The code of these takes one sample only: TVP gives its position embeddings the shape of the whole batch, JEV answers
# about the first prompt.
ONE_SAMPLE = ("tvp", "jev")


def cases() -> list[str]:
    """Every model type of transformers that has a model ("hf:gpt2"), every model of timm ("timm:resnet50")."""
    from profiles.models import hf_tables, torchvision_shim

    types = [f"hf:{name}" for name in sorted(hf_tables.model_types()) if hf_tables.heads(name)]
    torchvision_shim.prepare()
    import timm

    families = [timm.list_models(module=module) for module in timm.list_modules()]
    turns = itertools.zip_longest(*families)  # one model of every family first, then the second of each ...
    return types + [f"timm:{name}" for turn in turns for name in turn if name]


def results(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The last result of every case."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {row["model"]: row for row in map(json.loads, lines)}


def short(options: dict[str, Any], config: Any) -> dict[str, Any]:
    """The same options with few layers, in every part of the configuration."""
    from profiles.models import hf_depth

    cut, names = dict(options), hf_depth.layer_names(config)
    if names and getattr(config, names[0]) > LAYERS:
        cut = hf_depth.shortened(cut, config, names, LAYERS)
    for key in getattr(config, "sub_configs", {}):
        part = getattr(config, key, None)
        if part is not None and hasattr(part, "to_dict") and (inner := short({}, part)):
            cut[key] = {**part.to_dict(), **inner}
    return cut


def trace_transformers(model_type: str) -> dict[str, Any]:
    """Trace a training step of the usual class of a model type: with few layers, else as the defaults have it."""
    from profiles.models import hf_config, hf_spec, hf_tables

    head, spec = hf_tables.find_head(model_type, None), hf_spec.HuggingFaceSpec(model_type)
    found = {"class": head.class_name}
    try:
        cut = hf_spec.HuggingFaceSpec(model_type, short({}, hf_config.configuration(spec)))
        return found | traced(model_type, cut, head)
    except TimeoutError:
        raise
    except Exception as error:
        try:
            return found | traced(model_type, spec, head)
        except Exception as whole:
            whole.add_note(f"with {LAYERS} layers: {error}")
            raise


def traced(model_type: str, spec: Any, head: Any) -> dict[str, Any]:
    from profiles.models import huggingface

    definition = huggingface.define(spec, head, model_type)
    length = definition.sequence_length
    short_text = length if length is None or length > LONGEST_TEXT else min(length, SEQUENCE)
    return step(definition, short_text, 1 if model_type in ONE_SAMPLE else BATCH)


def step(definition: Any, sequence: int | None = None, batch: int = BATCH) -> dict[str, Any]:
    """Trace one training step; a step without matrix products forward or backward is a failure."""
    from profiles.models import Sizes
    from profiles.trace.settings import StepSettings
    from profiles.tracers import start

    _, climb = start(definition, StepSettings(), Sizes(batch, sequence, None))
    flops = {
        phase: sum(op.flops * op.count for op in climb.trace.operations if op.phase == phase and op.family in PRODUCTS)
        for phase in ("forward", "backward")
    }
    if not all(flops.values()):
        raise ValueError(f"no matrix products in {' and '.join(phase for phase, n in flops.items() if not n)}")
    return {"rung": climb.rung, "why": climb.reason, "guesses": sum(climb.trace.guesses.values()), **flops}


PRODUCTS = ("matmul", "convolution", "attention", "rnn")


def trace(case: str) -> dict[str, Any]:
    """Trace one case."""
    kind, _, name = case.partition(":")
    if kind == "hf":
        return trace_transformers(name)
    from profiles.models import resolve

    return step(resolve(case))


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after so many seconds of processor time: what else runs on the machine decides nothing."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not traced in {seconds} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def outcome(case: str) -> dict[str, Any]:
    """One row of the results."""
    start = time.monotonic()
    try:
        with limit(SECONDS_PER_MODEL):
            row = trace(case)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        row = {"refused": f"{type(error).__name__}: {first}", "notes": getattr(error, "__notes__", [])}
    return {"model": case, **row, "seconds": round(time.monotonic() - start, 1)}


def work(chunk: Sequence[str], path: Path) -> None:
    """Trace a chunk in this process, one line of results after every model."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import torch

    torch.set_num_threads(1)
    for case in chunk:
        row = json.dumps(outcome(case))
        with path.open("a") as file:
            file.write(row + "\n")


def run(wanted: Sequence[str], path: Path) -> None:
    """Trace cases chunk by chunk; a case that ends its process gets a row that says so, and the rest goes on."""
    path.parent.mkdir(exist_ok=True)
    left = list(wanted)
    while left:
        chunk, before = left[:CHUNK], len(path.read_text().splitlines()) if path.exists() else 0
        command = [sys.executable, __file__, "--results", str(path), "--chunk", *chunk]
        code = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode
        done = len(path.read_text().splitlines()) - before if path.exists() else 0
        if done < len(chunk):
            with path.open("a") as file:
                file.write(json.dumps({"model": chunk[done], "refused": f"the process ended with {code}"}) + "\n")
            done += 1
        left = left[done:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--chunk", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--again", nargs="+", default=[], help="cases to trace again")
    parser.add_argument("--write", action="store_true", help="write docs/coverage.md")
    given = parser.parse_args()
    if given.chunk:
        work(given.chunk, given.results)
    elif given.write:
        from coverage_table import write

        write(results(given.results), cases())
    else:
        have = results(given.results)
        run(given.again or [case for case in cases() if case not in have], given.results)


if __name__ == "__main__":
    main()
