"""`flopcast compare`: two ways to run something side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.estimate import runs_of
from estimator.cli.market_options import Market, market_options
from estimator.cli.model_options import TRAINED, ModelQuestion, model_options
from estimator.cli.output import Answer, Output, output_options
from estimator.cli.overhead_options import overhead_options
from estimator.cli.run_options import Work, work_options
from hardware_db.errors import UsageError
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.advice.comparison import Comparison, Side
    from estimator.text.page import Page


@click.command("compare")
@click.argument("left", metavar="A", shell_complete=completion.side)
@click.argument("right", metavar="B", shell_complete=completion.side)
@work_options
@model_options(*TRAINED)
@overhead_options
@market_options
@output_options
def command(left: str, right: str, work: Work, market: Market, output: Output, **options: Any) -> int:
    """Set two ways to run something beside each other: time, cost, energy, and how likely A is the better one.

    A and B are each MODEL@DEVICE=N (gpt2@h100-sxm=8), MODEL@DEVICE for one of it, MODEL alone for the cheapest way
    that the options leave, or an answer saved by flopcast estimate or advise with --json.
    """
    from estimator.advice.comparison import compare

    sides = [_side(text, work, market, output, dict(options)) for text in (left, right)]
    output.show(_answer(compare(*sides)))
    return 0


def _side(text: str, work: Work, market: Market, output: Output, options: dict[str, Any]) -> Side:
    from estimator.advice.comparison import Side

    if text.endswith(".json") and Path(text).is_file():
        return Side.saved(Path(text))
    work.check()
    model, at, place = text.rpartition("@")
    if at:
        market = _at(market, place, text)
    return Side(text, _row(model if at else text, work, market, output, options))


def _at(market: Market, place: str, text: str) -> Market:
    name, equals, number = place.partition("=")
    if not name or (equals and not (number.isdecimal() and int(number) > 0)):
        raise UsageError(f"{text}: after @ comes a device, and how many of it: gpt2@h100-sxm=8")
    return replace(market, hardware=name, counts=(int(number or 1),))


def _row(model: str, work: Work, market: Market, output: Output, options: dict[str, Any]) -> dict[str, Any]:
    from estimator import estimate_all

    overheads = options.pop("overheads")
    question = ModelQuestion(model, sequence_length=work.sequence_length, **options)
    runs = [replace(run, overheads=overheads) for run in runs_of(question, work, output)]
    best = estimate_all(runs, **market.choice(load_here(market.devices_file).database))[0]
    if best.why_not is not None:
        raise UsageError(f"{model} on {best.count}× {best.device.id}: {best.why_not}")
    return best.to_dict()


def _answer(found: Comparison) -> Answer:
    def text(page: Page) -> str:
        from estimator.text.comparison import comparison_text

        return comparison_text(found, page)

    rows = [
        {"quantity": each.quantity, "unit": each.unit, "a": each.left, "b": each.right, "change": each.change}
        for each in found.differences
    ]
    more = {"chances": dict(found.chances), "sentence": found.sentence, "a": found.left.row, "b": found.right.row}
    return Answer("compare", text, lambda: rows, {"a": found.left.name, "b": found.right.name}, more=more)
