"""`flopcast benchmark --dataloader file.py:function`: how many samples a second a data loader brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.cli.output import Answer, Output
from estimator.cli.progress import progress

if TYPE_CHECKING:
    from estimator.text.page import Page
    from profiles.benchmark.dataloader import LoaderRate


def time_dataloader(spec: str, seconds: float | None, output: Output) -> int:
    """Time the loader that the user's function returns, and show the rate as `--data-rate` takes it."""
    from profiles.benchmark.dataloader import SECONDS, time_loader
    from profiles.models.user_code import load

    make = load(spec)
    with progress(f"Loading batches of {spec}", output):
        found = time_loader(make, seconds or SECONDS)
    record = {name: getattr(found, name) for name in found.__dataclass_fields__}
    results = [{"loader": spec, "samples_per_s": found.samples_per_s, **record}]
    output.show(Answer("benchmark", lambda page: _text(page, spec, found), lambda: results))
    return 0


def _text(page: Page, spec: str, found: LoaderRate) -> str:
    from estimator.text.notes import notes
    from hardware_db.units import format_duration

    return page.render(
        notes(
            [
                ("Loader", spec),
                ("Rate", f"{found.samples_per_s:,.0f} samples/s, batches of {found.batch_size}"),
                ("Timed", f"{found.batches:,} batches in {format_duration(found.seconds)}"),
                ("First batch", format_duration(found.first_batch_s)),
                ("Next", f"flopcast estimate MODEL --data-rate {found.samples_per_s:.0f}"),
            ]
        )
    )
