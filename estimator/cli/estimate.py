"""`flopcast estimate`: what a run takes and costs, everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.baseline import baseline_options, gated
from estimator.cli.market_options import Market, derived_prices, market_options
from estimator.cli.model_options import ROWS, TRAINED, ModelQuestion, find_profile, model_options, profile_file
from estimator.cli.output import Answer, Output, output_options
from estimator.cli.overhead_options import overhead_options
from estimator.cli.run_options import Work, work_options
from estimator.cli.split_option import split_option
from hardware_db.errors import MissingExtra, NoPrice, UnknownPrecision
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.estimates import Estimates, Sort
    from estimator.run import TrainingRun
    from estimator.text.page import Page
    from hardware_db import Database, Device
    from profiles.model_profile import ModelProfile

AUTO = ("amp_bfloat16", "amp_float16", "float32")
"""What a device takes where no precision is asked for: the first that it has."""
SORTS = ("cost", "time", "energy")
SHOWN = 15
NO = 1
"""Exit code of "answered: it fits nowhere"."""


@click.command("estimate")
@click.argument("model", shell_complete=completion.model)
@work_options
@model_options(*TRAINED)
@split_option("How devices share a step: tp=8,pp=4,zero=1; default: copies, split where those do not fit.")
@overhead_options
@market_options
@click.option("--sort", type=click.Choice(SORTS), default="cost", help="Best first by this; default: cost.")
@click.option("--limit", **ROWS, help=f"Rows to show, 0 for all; default: {SHOWN}, all in --json.")
@click.option("--explain", is_flag=True, help="Also where the best row's time goes, and what would change it.")
@baseline_options
@output_options
def command(
    model: str, work: Work, market: Market, sort: Sort, limit: int | None, output: Output, **options: Any
) -> int:
    """Estimate what training MODEL takes and costs on every device that has a price.

    Give the amount of work by one of --tokens, --samples, --epochs and --steps. Exit code 1: it fits nowhere.
    """
    work.check()
    gate, overheads, split = options.pop("gate"), options.pop("overheads"), options.pop("split")
    explained = options.pop("explain") or output.verbose
    question = ModelQuestion(model, sequence_length=work.sequence_length, **options)
    here = load_here(market.devices_file)
    processors = _processors(market, here.database)
    runs = runs_of(question, work, output, market.counts or (), processors)
    runs = [replace(run, overheads=overheads, split=split) for run in runs]
    found = _estimates(runs, market, here.database).sort(sort)
    if gate is not None:
        return gated("estimate", gate, next(iter(found.answered), None), output)
    warnings = (*here.warnings, *found.warnings, *derived_prices(found.offers))
    output.show(replace(_answer(found, limit, explained=explained), warnings=warnings))
    return 0 if found.answered else NO


def _processors(market: Market, database: Database) -> tuple[Device, ...]:
    """Return the devices asked for by name where all of them are processors: their kernels and optimizers differ."""
    if market.hardware is None or not market.hardware.strip():
        return ()
    found = database.match(market.hardware)
    return found if all(device.kind == "cpu" for device in found) else ()


def runs_of(
    question: ModelQuestion,
    work: Work,
    output: Output,
    counts: tuple[int, ...] = (),
    processors: tuple[Device, ...] = (),
) -> list[TrainingRun]:
    """Return the run in the precision asked for, or in each that a device may take, best first.

    Without a global batch it is one that each of `counts` devices can share. With `processors` it is what runs on them.
    """
    from estimator.run import TrainingRun, default_global_batch_size

    saved = profile_file(question.model) is not None
    settled = saved or question.precision is not None
    questions = [question] if settled else [replace(question, precision=each) for each in AUTO]
    if processors and not settled:
        taken = {next((each for each in AUTO if device.supports(each)), AUTO[-1]) for device in processors}
        questions = [each for each in questions if each.precision in taken]
    find = _of_processor if processors and not saved else find_profile
    profiles = [find(each, output) for each in questions]
    if work.global_batch_size is None:
        work = replace(work, global_batch_size=max(default_global_batch_size(each, counts) for each in profiles))
    return [TrainingRun(profile, **work.of(profile)) for profile in profiles]


def _of_processor(question: ModelQuestion, output: Output) -> ModelProfile:
    """Return what a processor runs; without torch what is recorded of a card, which the assumptions say."""
    try:
        return find_profile(replace(question, device="cpu"), output)
    except MissingExtra:
        return find_profile(question, output)


def _estimates(runs: list[TrainingRun], market: Market, database: Database) -> Estimates:
    from estimator import estimate_all

    try:
        found = estimate_all(runs, **market.choice(database))
    except NoPrice as error:
        raise NoPrice(f"{error}. Own price: --price {market.only_name or 'NAME'}=2.10") from error
    reasons = {row.why_not_kind for row in found}
    if reasons == {"precision"}:
        raise UnknownPrecision("\n".join(dict.fromkeys(row.why_not or "" for row in found[:3])))
    return found


def _answer(found: Estimates, limit: int | None, *, explained: bool) -> Answer:
    def text(page: Page) -> str:
        from estimator.text.estimates import estimates_text

        best = f"\n{found[0].explain()}\n" if explained else ""
        return estimates_text(found, page, SHOWN if limit is None else limit) + best

    rows = found.rows[:limit] if limit else found.rows
    return Answer(
        "estimate",
        text,
        results=lambda: [row.to_dict() for row in rows],
        run=found.runs[0].to_dict(),
        assumptions=found.assumptions,
        more={"left_out": found.left_out},
    )
