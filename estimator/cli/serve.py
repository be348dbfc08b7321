"""`flopcast serve`: latency, throughput, memory and price of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.market_options import devices_option
from estimator.cli.model_options import ROWS, SIZE, ModelQuestion, find_profile, model_options, profile_file
from estimator.cli.output import Answer, Output, output_options
from estimator.cli.quantities import read_as
from hardware_db.errors import UsageError
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.serving import Lifetime
    from estimator.serving.everywhere import Answered
    from estimator.text.page import Page
    from profiles.model_profile import ModelProfile

AUTO = ("bfloat16", "float16", "float32")
"""What a device takes where no precision is asked for: the first that it has."""

SHOWN = 15
NO = 1


@click.command("serve")
@click.argument("model", shell_complete=completion.model)
@click.option("--batch-size", default=1, **SIZE, help="Samples or sequences at once; default: 1.")
@click.option("--prompt", **SIZE, help="Tokens of a prompt; with --answer a language model writes text.")
@click.option("--answer", **SIZE, help="Tokens of an answer.")
@model_options(
    "precision", "image_size", "inputs", precision="Of the weights; int8: all values; default: each device's best."
)
@click.option("--weight-bits", type=float, metavar="N", help="Of a weight in a language model's layers: 4.5, 8.")
@click.option("--compile", "compiled", is_flag=True, help="torch.compile instead of eager PyTorch.")
@click.option(
    "--hardware", "devices", shell_complete=completion.devices, metavar="NAMES", help="These devices only: l4,h100-*."
)
@click.option("--per-day", **SIZE, help="Predictions or tokens asked for a day: the life's cost.")
@click.option("--months", type=float, default=12.0, help="How long it serves; default: 12.")
@click.option("--training-cost", callback=read_as("usd"), metavar="USD", help="What training cost, beside serving.")
@click.option("--limit", **ROWS, help=f"Rows to show, 0 for all; default: {SHOWN}.")
@devices_option
@output_options
def command(model: str, output: Output, devices_file: Path | None, **options: Any) -> int:
    """Predict what running a trained MODEL takes and costs on every device: latency, throughput, memory, price.

    Exit code 1: it fits nowhere.
    """
    from estimator.serving import Dialogue
    from estimator.serving.everywhere import Question, serve_everywhere

    if (options["prompt"] is None) != (options["answer"] is None):
        raise UsageError("--prompt and --answer go together: tokens that are read, and tokens that are written")
    here = load_here(devices_file)
    size = options["batch_size"]
    bits, int8 = options["weight_bits"], options["precision"] == "int8"
    if options["prompt"] is None and bits is not None:
        raise UsageError("--weight-bits is of a language model that writes: give --prompt and --answer too")
    if options["prompt"] is not None and int8:
        raise UsageError("--precision int8 is of predictions; a language model that writes takes --weight-bits 8")
    dialogue = Dialogue(size, options["prompt"], options["answer"], bits) if options["prompt"] else None
    profiles = _profiles(model, options | ({"precision": "float16"} if int8 else {}), output)
    asked = Question(profiles, size, dialogue, options["compiled"], options["devices"], _in_int8(options["precision"]))
    rows, left_out = serve_everywhere(asked, here.database)
    life = _life(rows, options)
    output.show(_answer(rows, left_out, life, options["limit"]))
    return 0 if any(row.fits for row in rows) else NO


def _in_int8(precision: str | None) -> bool | None:
    """Whether values have 8 bits; None: where a device has nothing else."""
    return None if precision is None else precision == "int8"


def _profiles(model: str, options: dict[str, Any], output: Output) -> list[ModelProfile]:
    settled = options["precision"] is not None or profile_file(model) is not None
    asked = {name: options[name] for name in ("image_size", "inputs")}
    return [
        find_profile(ModelQuestion(model, mode="forward", precision=precision, **asked), output)
        for precision in ((options["precision"],) if settled else AUTO)
    ]


def _life(rows: tuple[Answered, ...], options: dict[str, Any]) -> Lifetime | None:
    """Return training and serving over the life on the cheapest device; None where nothing is asked or priced."""
    from estimator.serving import Writing, lifetime_of

    best = next((row for row in rows if row.fits and row.offer), None)
    if options["per_day"] is None or best is None or best.offer is None:
        return None
    rate = best.tokens_per_s if isinstance(best, Writing) else best.per_s
    training = options["training_cost"] or 0.0
    return lifetime_of(training, best.offer.usd_per_device_hour, rate, options["per_day"], options["months"])


def _answer(rows: tuple[Answered, ...], left_out: dict[str, str], life: Lifetime | None, limit: int | None) -> Answer:
    def text(page: Page) -> str:
        from estimator.text.serving import serving_text

        return serving_text(rows, left_out, life, page, SHOWN if limit is None else limit)

    shown = rows[:limit] if limit else rows
    return Answer(
        "serve", text, results=lambda: [row.to_dict() for row in shown], more={"left_out": left_out, "lifetime": life}
    )
