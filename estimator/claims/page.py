"""The page of claims, made from the recomputation: `python -m estimator.claims.page > docs/claims.md`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from estimator.claims import NEWCOMER_JOBS, Claim, Line, NewcomerRow, claims, newcomer_rows
from estimator.text.figures import figure, two_digits
from hardware_db.units import format_duration

HEAD = """\
# Claims about the cost of training, recomputed

Made by `python -m estimator.claims.page > docs/claims.md`; do not edit. `flopcast claims` prints the same from the
models, devices and prices at hand. One multiply-add is 2 FLOPs. Wall-clock hours and device-hours are named as such.
"""
JOBS = """\
## The jobs newcomers start with

Wall-clock time, money on demand, and calendar days where a free tier cuts the run into sessions. Precision: the
best that the device has. No time for loading data. A laptop is an Intel Core i7-12700H.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(part for claim in claims() for part in _claim(claim)), JOBS, *_jobs(newcomer_rows())])


def _claim(claim: Claim) -> Iterator[str]:
    yield f"## {claim.title}\n"
    yield f"**Claimed**: {claim.said}.\n"
    yield "| | figure | unit | how |\n| --- | ---: | --- | --- |"
    yield from (_line("then", line) for line in claim.then)
    yield from (_line("flopcast", line) for line in claim.now)
    yield f"\n{claim.verdict}\n"
    yield f"Sources: {'; '.join(claim.sources)}.\n"


def _line(when: str, line: Line) -> str:
    return f"| {when}: {line.what} | {figure(line.value)} | {line.unit} | {line.how} |"


def _jobs(rows: tuple[NewcomerRow, ...]) -> Iterator[str]:
    for job, (name, found) in zip(NEWCOMER_JOBS, groupby(rows, key=lambda row: row.job), strict=True):
        yield f"### {name}\n\n`{job.model}`, {job.source}.\n"
        yield "| place | time | dollars | calendar days | |\n| --- | ---: | ---: | ---: | --- |"
        for row in found:
            cells = (_hours(row), figure(row.usd), two_digits(row.calendar_days))
            yield f"| {row.place} | {' | '.join(cells)} | {row.note} |"
        yield ""


def _hours(row: NewcomerRow) -> str:
    return format_duration(None if row.hours is None else row.hours * 3600)


if __name__ == "__main__":
    print(page(), end="")
