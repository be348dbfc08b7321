"""`flopcast portfolio`: advice for many jobs, on this machine's processors or on a cluster."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.campaign import PLAN_OPTIONS
from estimator.cli.output import Answer, Output, is_terminal, output_options
from hardware_db.errors import DataError, FlopcastError, UsageError

if TYPE_CHECKING:
    from estimator.text.page import Page

NO = 1
"""Exit code of "answered: a job fits nowhere, or its question is wrong"."""

KEPT = ("device", "count", "provider", "region", "pricing", "run_time_s", "cost_usd", "cost_usd_low", "cost_usd_high")
"""Fields of a recommendation that a row of the answer shows."""

PLANNED = frozenset(f"--{name}" for name in PLAN_OPTIONS)
"""Options that make a job a plan of runs."""

SPELT = {("campaign", "--spot"): ("--pricing", "spot")}
"""Options of `flopcast advise` that another command has by another name."""

Words = list[str]
Row = dict[str, Any]


@click.command("portfolio")
@click.argument("jobs", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--on", "where", default="1", metavar="WHERE", help="Processes here (8), dask=tcp://HOST:PORT, or ray.")
@output_options
def command(jobs: Path, where: str, output: Output) -> int:
    """Advise on every job of the CSV file JOBS: what to rent for each, and what all of them cost.

    One row a job; its columns are the options of flopcast advise without dashes (model, tokens, batch-size, budget,
    deadline ...), and name. A flag holds yes. A row that plans a search, seeds or retraining (method, trials, seeds,
    retrain ...) asks flopcast campaign. Exit code 1: a job fits nowhere, or asks what cannot be answered.
    """
    asked = read_jobs(jobs)
    rows = list(_progressing(_answered([words for _, words in asked], where), len(asked), output))
    named = [{"name": name, **row} for (name, _), row in zip(asked, _in_order(rows), strict=True)]
    output.show(_answer(named))
    return 0 if all(row["answered"] for row in named) else NO


def read_jobs(path: Path) -> list[tuple[str, Words]]:
    """Return the name of each job and the words of its question.

    Raises
    ------
    DataError
        no column says the model, a row has no model, or there is no row
    """
    from hardware_db.entry_faults import unreadable

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {unreadable(error)}") from error
    if not rows or "model" not in rows[0]:
        raise DataError(f"{path}: the first line names columns, one of them model, and each further line is a job")
    found = []
    for line, row in enumerate(rows, start=2):
        given = {(name or "").strip().replace("_", "-"): (value or "").strip() for name, value in row.items() if name}
        model, name = given.pop("model", ""), given.pop("name", "")
        if not model or None in row:
            raise DataError(f"{path}, line {line}: {'more cells than columns' if model else 'no model'}")
        found.append((name or f"{model}, line {line}", [model, *_options(given)]))
    return found


def _options(given: Mapping[str, str]) -> Iterator[str]:
    """Yield the options of a row: empty cells are left out, yes is a flag."""
    for name, value in given.items():
        if value and value.lower() not in ("no", "false"):
            yield f"--{name}"
            if value.lower() not in ("yes", "true"):
                yield value


def ask(place: int, words: Words) -> tuple[int, Row]:
    """Return what `flopcast advise` or `campaign` answers to these words, and the place of the question."""
    from estimator.cli import main

    command = "campaign" if PLANNED.intersection(words) else "advise"
    words = [each for word in words for each in SPELT.get((command, word), (word,))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        try:
            main([command, *words, "--json", "--quiet", "--output", str(path)], standalone_mode=False)
            return place, READ[command](json.loads(path.read_text(encoding="utf-8")))
        except (FlopcastError, click.ClickException) as error:
            said = error.format_message() if isinstance(error, click.ClickException) else str(error)
            return place, {"answered": False, "sentence": said.splitlines()[0], **dict.fromkeys(KEPT)}


def _advised(document: Row) -> Row:
    found = document["results"][0]
    best = found["recommendation"] or {}
    told = {name: found[name] for name in ("answered", "sentence")}
    return told | {name: best.get(name) for name in KEPT}


def _planned(document: Row) -> Row:
    """Return a plan as a row: wall clock of search and final runs, the cost of everything."""
    if not document.get("answered"):
        return {"answered": False, "sentence": document["sentence"], **dict.fromkeys(KEPT)}
    cost = document["cost_usd"]
    sums = {"run_time_s": document["wall_s"]["mid"], "cost_usd": cost["mid"]}
    ends = {"cost_usd_low": cost["low"], "cost_usd_high": cost["high"]}
    return {"answered": True, "sentence": document["sentence"], **document["place"], **sums, **ends}


READ: Mapping[str, Callable[[Row], Row]] = {"advise": _advised, "campaign": _planned}
"""Command -> how its JSON document becomes a row."""


def _answered(questions: Sequence[Words], where: str) -> Iterator[tuple[int, Row]]:
    """Yield answers as they come."""
    if where == "1":
        yield from (ask(place, words) for place, words in enumerate(questions))
        return
    from joblib import Parallel, delayed

    engine, count = _engine(where)
    with engine:
        parallel = Parallel(n_jobs=count, return_as="generator_unordered")
        yield from parallel(delayed(ask)(place, words) for place, words in enumerate(questions))


def _engine(where: str) -> tuple[AbstractContextManager[object], int]:
    """Return what joblib runs on, and how many processes: those asked for here, all of a cluster.

    Raises
    ------
    UsageError
        it is none of the known ones
    """
    name, _, address = where.partition("=")
    if where.isdecimal() and int(where) > 0:
        return nullcontext(), min(int(where), os.cpu_count() or 1)
    if name not in ENGINES:
        raise UsageError(f"--on {where}: give a number of processes, dask=tcp://HOST:PORT, or ray")
    return ENGINES[name](address), -1


@contextmanager
def _dask(address: str) -> Iterator[None]:
    from distributed import Client
    from joblib import parallel_config

    if not address:
        raise UsageError("--on dask needs the scheduler's address: dask=tcp://HOST:8786")
    with Client(address), parallel_config(backend="dask"):
        yield


@contextmanager
def _ray(address: str) -> Iterator[None]:
    import ray
    from joblib import parallel_config
    from ray.util.joblib import register_ray

    ray.init(address=address or None, ignore_reinit_error=True)
    register_ray()
    with parallel_config(backend="ray"):
        yield


ENGINES: Mapping[str, Callable[[str], AbstractContextManager[object]]] = {"dask": _dask, "ray": _ray}


def _in_order(found: list[tuple[int, Row]]) -> list[Row]:
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def _progressing(found: Iterator[tuple[int, Row]], count: int, output: Output) -> Iterator[tuple[int, Row]]:
    """Show on a terminal how many are done."""
    if output.quiet or not is_terminal():
        yield from found
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, no_color=output.color is False)
    yield from track(found, "Advising", total=count, console=console, transient=True)


def _answer(rows: list[Row]) -> Answer:
    def text(page: Page) -> str:
        from estimator.text.portfolio import portfolio_text

        return portfolio_text(rows, page)

    costs = [row["cost_usd"] for row in rows if row["answered"]]
    total = {"jobs": len(rows), "answered": len(costs), "cost_usd": sum(costs)}
    return Answer("portfolio", text, lambda: rows, more={"total": total})
