"""`flopcast advise`: what to rent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.baseline import baseline_options, gated
from estimator.cli.estimate import runs_of
from estimator.cli.market_options import devices_option
from estimator.cli.model_options import TRAINED, ModelQuestion, model_options
from estimator.cli.output import Answer, Output, output_options, write_atomically
from estimator.cli.overhead_options import overhead_options
from estimator.cli.quantities import read_as, read_integers
from estimator.cli.run_options import Work, work_options
from hardware_db.errors import UsageError
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.advice import Advice
    from estimator.text.page import Page

NO = 1
"""Exit code of "answered: nothing fits"."""

FILE = click.Path(dir_okay=False, path_type=Path)
_LIMITS = (
    click.option("--budget", "budget_usd", callback=read_as("usd"), metavar="USD", help="Spend at most: 500, $2k."),
    click.option("--deadline", "deadline_s", callback=read_as("duration_s"), metavar="TIME", help="Done in: 12h, 2d."),
    click.option("--max-co2", "max_co2_kg", type=float, metavar="KG", help="Emit at most so many kg of CO2."),
    click.option("--provider", shell_complete=completion.provider, help="Offers of this provider only."),
    click.option("--region", shell_complete=completion.region, help="Offers of this region only."),
    click.option("--hardware", "devices", shell_complete=completion.devices, metavar="NAMES",
                 help="These devices only: h100-*,tpu-v5e."),
    click.option("--count", "counts", callback=read_integers, metavar="N", help="Devices: 8 or 1,8; default: 1 to 8."),
    click.option("--framework", type=click.Choice(["torch", "jax"]), help="Devices that it trains on; default: all."),
    click.option("--spot", is_flag=True, help="Also machines that may be taken away."),
    click.option("--reserved", is_flag=True, help="Also prices of machines reserved for 1 or 3 years, by the hour."),
    click.option("--own", multiple=True, shell_complete=completion.device, metavar="NAME[=N]",
                 help="A device that is there already: rtx-4090 or l4=2."),
    click.option("--electricity", "electricity_usd_per_kwh", type=float, metavar="USD", help="A kWh for --own."),
)  # fmt: skip


def _limit_options(command: Any) -> Any:
    for option in reversed(_LIMITS):
        command = option(command)
    return command


@click.command("advise")
@click.argument("model", shell_complete=completion.model)
@work_options
@model_options(*TRAINED)
@_limit_options
@overhead_options
@devices_option
@click.option("--sky", type=FILE, metavar="FILE", help="Also write the recommendation as a SkyPilot task (YAML).")
@click.option("--report", type=FILE, metavar="FILE", help="Also write a report: FILE.html with plots, or FILE.md.")
@baseline_options
@output_options
def command(model: str, work: Work, devices_file: Path | None, output: Output, **options: Any) -> int:
    """Recommend where to train MODEL: one sentence, its reasons, and what is cheaper, faster, greener or safer.

    All devices, numbers of devices and offers are compared; what no other beats in time, cost and CO2 is the frontier.
    Exit code 1: nothing keeps the limits, and the answer says what comes nearest and what would fit.
    """
    from estimator.advice import Wishes, advise

    work.check()
    gate, overheads = options.pop("gate"), options.pop("overheads")
    files = {name: options.pop(name) for name in ("report", "sky")}
    asked = {name: options.pop(name) for name in Wishes.__dataclass_fields__}
    wishes = Wishes(**(asked | {"own": _own(asked["own"])}))
    question = ModelQuestion(model, sequence_length=work.sequence_length, **options)
    runs = [replace(run, overheads=overheads) for run in runs_of(question, work, output)]
    here = load_here(devices_file)
    found = advise(runs, wishes, database=here.database)
    _write(found, files, output)
    if gate is not None:
        return gated("advise", gate, found.best.row if found.best else None, output)
    output.show(_answer(found, here.warnings))
    return 0 if found.best is not None else NO


def _own(texts: tuple[str, ...]) -> dict[str, int]:
    """Read devices that are there already: "rtx-4090" is one, "l4=2" are two."""
    found = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if equals and not (number.isdecimal() and int(number) > 0):
            raise UsageError(f"--own {text}: give a device and how many of it, for example l4=2")
        found[name] = int(number or 1)
    return found


def _write(found: Advice, files: dict[str, Path | None], output: Output) -> None:
    """Write the advice as the files that were asked for; a task only where something is recommended."""
    report, sky = files["report"], files["sky"]
    if report is not None:
        from estimator.report import report_of, written

        write_atomically(report, written(report_of(found), report))
        output.say(f"Saved {report}")
    if sky is not None and found.best is not None:
        from estimator.advice.sky import sky_task

        write_atomically(sky, sky_task(found))
        start = "jobs launch" if found.best.row.offer and found.best.row.offer.pricing == "spot" else "launch"
        output.say(f"Saved {sky}. Rent: sky {start} {sky}")


def _answer(found: Advice, warnings: Any) -> Answer:
    def text(page: Page) -> str:
        from estimator.text.advice import advice_text

        return advice_text(found, page)

    document = found.to_dict()
    return Answer(
        "advise",
        text,
        results=lambda: [document],
        run=found.runs[0].to_dict(),
        warnings=warnings,
        rows=lambda: document["frontier"],
    )
