"""`flopcast campaign`: search, seeds, failed runs and retraining."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.estimate import runs_of
from estimator.cli.market_options import Market, market_options
from estimator.cli.model_options import TRAINED, ModelQuestion, model_options
from estimator.cli.output import Answer, Output, output_options
from estimator.cli.overhead_options import overhead_options
from estimator.cli.quantities import read_as
from estimator.cli.run_options import Work, work_options
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.campaign import Choice, Limits
    from estimator.text.page import Page

_SHARE: dict[str, Any] = {"type": click.FloatRange(0, 1), "metavar": "SHARE"}
_PLAN = (
    click.option("--method", type=click.Choice(["grid", "random", "asha", "hyperband"]), help="How it is searched."),
    click.option(
        "--trials",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        help="Settings tried; not of hyperband.",
    ),
    click.option("--reduction", type=click.IntRange(min=2), default=3, metavar="N", help="Of so many one goes on: 3."),
    click.option("--least", "least_share", default=1 / 27, **_SHARE, help="Of a run before the first are stopped."),
    click.option("--parallel", type=click.IntRange(min=1), default=1, metavar="N", help="Trials side by side."),
    click.option("--seeds", type=click.IntRange(min=1), default=1, metavar="N", help="Final runs."),
    click.option("--failed", "failed_share", default=0.0, **_SHARE, help="Of all runs, done again: 0.1."),
    click.option("--retrain", "retrain_every", type=click.Choice(["week", "month", "quarter"]), help="Trained anew."),
    click.option("--retrain-share", default=1.0, **_SHARE, help="Of a run: 1 full, 0.1 a fine-tuning."),
    click.option("--months", type=float, default=12.0, metavar="N", help="For how long it is retrained: 12."),
)
_LIMITS = (
    click.option("--budget", "budget_usd", callback=read_as("usd"), metavar="USD", help="The whole plan: 500, $2k."),
    click.option("--deadline", "deadline_s", callback=read_as("duration_s"), metavar="TIME",
                 help="Search and final runs done in: 12h, 2d."),
)  # fmt: skip
PLAN_OPTIONS = frozenset(
    ["method", "trials", "reduction", "least", "parallel", "seeds", "failed", "retrain", "retrain-share", "months"]
)
"""Names of options that only a plan of runs has."""


def _plan_options(command: Any) -> Any:
    for option in reversed((*_PLAN, *_LIMITS)):
        command = option(command)
    return command


@click.command("campaign")
@click.argument("model", shell_complete=completion.model)
@work_options
@model_options(*TRAINED)
@_plan_options
@overhead_options
@market_options
@output_options
def command(model: str, work: Work, market: Market, output: Output, **options: Any) -> int:
    """Add up a whole plan for MODEL: a search for settings, seeds, failed runs, retraining.

    On the devices that carry out the plan for the least money and keep its limits in 80 % of cases. Exit code 1: it
    fits nowhere, or nothing keeps the limits.
    """
    from estimator import estimate_all
    from estimator.campaign import Limits, Plan, Search, choose

    work.check()
    overheads, method = options.pop("overheads"), options.pop("method")
    searched = {name: options.pop(name) for name in ("trials", "reduction", "least_share")}
    limits = Limits(options.pop("budget_usd"), options.pop("deadline_s"))
    planned = {name: options.pop(name) for name in Plan.__dataclass_fields__ if name in options}
    question = ModelQuestion(model, sequence_length=work.sequence_length, **options)
    runs = [replace(run, overheads=overheads) for run in runs_of(question, work, output)]
    found = estimate_all(runs, **market.choice(load_here(market.devices_file).database))
    plan = Plan(search=Search(method, **searched) if method else None, **planned)
    best = choose(found, plan, limits)
    if best is None:
        why = found[0].why_not or ""
        output.show(Answer("campaign", lambda page: page.render(why), lambda: [], more={"sentence": why}))
        return 1
    output.show(_answer(best, limits))
    return 0 if best.safe else 1


def _answer(best: Choice, limits: Limits) -> Answer:
    def text(page: Page) -> str:
        from estimator.text.campaign import campaign_text

        return campaign_text(best, sentence, page)

    from estimator.text.campaign import sentence_of

    sentence, found, row = sentence_of(best, limits), best.campaign, best.row
    place = {name: row.to_dict()[name] for name in ("device", "count", "provider", "region", "pricing")}
    more = {"answered": best.safe, "sentence": sentence, "place": place, **found.to_dict()}
    return Answer("campaign", text, results=lambda: list(found.stages), run=row.run.to_dict(), more=more)
