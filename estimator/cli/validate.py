"""`flopcast validate`: predictions beside your own measurements, or published ones."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from estimator.cli.market_options import devices_option
from estimator.cli.model_options import SIZE
from estimator.cli.output import Answer, Output, output_options
from hardware_db.here import load_here

if TYPE_CHECKING:
    from estimator.text.page import Page
    from estimator.validation import Report

NO = 1
"""Exit code of "answered: nothing could be predicted"."""

REASONS_SHOWN = 5


@click.command("validate")
@click.argument("cases", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--jobs", default=1, **SIZE, help="Models traced at the same time; default: 1.")
@devices_option
@output_options
def command(cases: Path, jobs: int, devices_file: Path | None, output: Output) -> int:
    """Predict measured CASES, a CSV file, and say how far off the predictions are, by stratum.

    Columns: model, task (train, infer), device, precision, micro_batch_size, measured_step_time_s and others, see
    docs/validation.md. Models are traced once and kept, so that an interrupted run goes on where it stopped. Exit code
    1: no row could be predicted.
    """
    from estimator.validation import validate

    here = load_here(devices_file)
    with _bar(output) as report_progress:
        report = validate(cases, jobs, here.database, report_progress)
    output.show(answer(report, cases, here.warnings))
    return 0 if len(report.unpredicted) < len(report.rows) else NO


def answer(report: Report, cases: Path, warnings: Sequence[str] = ()) -> Answer:
    """Return the report in every form of output."""

    def text(page: Page) -> str:
        from estimator.text.validation import report_text

        return report_text(report, page)

    return Answer(
        "validate",
        text,
        results=lambda: report.strata,
        run={"cases": str(cases)},
        warnings=(*warnings, *_not_predicted(report)),
        rows=lambda: report.rows,
        more=report.to_dict(),
    )


def _not_predicted(report: Report) -> Iterator[str]:
    """Name what has no prediction, the most frequent reasons first."""
    reasons = Counter(row.reason for row in report.unpredicted)
    for reason, count in reasons.most_common(REASONS_SHOWN):
        first = next(row.case_id for row in report.unpredicted if row.reason == reason)
        yield f"not predicted: {count} row{'s' * (count > 1)} ({first}{' ...' * (count > 1)}): {reason}"
    rest = sum(reasons.values()) - sum(count for _, count in reasons.most_common(REASONS_SHOWN))
    if rest:
        yield f"not predicted: {rest} more rows; --csv has the reason of each"


@contextmanager
def _bar(output: Output) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many models are answered, with the time left, if a person is watching."""
    if output.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TimeRemainingColumn

    console = Console(stderr=True, no_color=output.color is False)
    with Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("Tracing models", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
