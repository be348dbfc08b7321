"""Whether a model fits while it writes text, as text: what is needed, how much fits at once, ways to make it fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from estimator.fit.writing import bytes_per_token
from estimator.text.fits import gib, mark, size_or_dash, span, verdict
from estimator.text.notes import flow, notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_bytes

if TYPE_CHECKING:
    from estimator.fit.writing import WritingFit, WritingWay

COLUMNS = (
    Column("", align="left", gap=1),
    Column("CHANGE", align="left"),
    Column("MEMORY", unit="GiB"),
    Column("RANGE", unit="80 %", drop=2),
    Column("SAVED", unit="GiB"),
    Column("READ", unit="×"),
    Column("SEQUENCES", unit="most"),
)
PARTS = 4


def writing_text(found: WritingFit, page: Page | None = None, limit: int = 0) -> str:
    """Return what is needed and a table of the ways, those that fit first and marked.

    Parameters
    ----------
    found
        the answer
    page
        default a plain one of 120 columns
    limit
        ways to show, 0 for all
    """
    page = page or Page()
    ways = found.ways[:limit] if limit else found.ways
    lines = table(COLUMNS, [_now(found), *map(_row, ways)], page.width)
    return page.render(_head(found, page.width), "", *lines, "", notes(_footer(found, ways)))


def _head(found: WritingFit, width: int) -> str:
    how, peak = found.how, found.need.peak
    devices = f"{found.count} × {found.device.id}" if found.count > 1 else found.device.id
    sequences = f"{how.batch_size:,} sequence{'s' * (how.batch_size > 1)}"
    parts = [
        found.profile.model,
        found.profile.precision,
        f"writes {sequences} × {how.context_length:,} tokens",
        f"{devices} {gib(peak.capacity_bytes or 0)} GiB",
        verdict(peak),
    ]
    return flow(parts, width)


def _now(found: WritingFit) -> Row:
    peak = found.need.peak
    cells = [mark(peak), "as it is", gib(peak.total_bytes), span(peak.total), MISSING, "1"]
    return Row([*cells, size_or_dash(found.most_sequences)])


def _row(way: WritingWay) -> Row:
    peak = way.need.peak
    cells = [
        mark(peak),
        " + ".join(way.changes),
        gib(peak.total_bytes),
        span(peak.total),
        gib(way.saved_bytes),
        MISSING if way.time is None else f"{way.time:.2f}",
        size_or_dash(way.most_sequences),
    ]
    return Row(cells, style="" if way.fits else "dim")


def _kept(found: WritingFit) -> tuple[str, str]:
    """Return what is kept of a token, or of a sequence where it does not grow."""
    size = f"{gib(found.need.cache_bytes)} GiB at the end"
    if not found.need.cache.parts:
        each = format_bytes(found.need.cache_bytes / found.how.batch_size)
        return "State", f"{each} a sequence, however long it is; {size}"
    return "Keys", f"and values: {format_bytes(bytes_per_token(found.need, found.how))} a token and sequence, {size}"


def _footer(found: WritingFit, ways: Sequence[WritingWay]) -> list[tuple[str, str]]:
    need, how = found.need, found.how
    held = [f"{gib(size)} GiB {name}" for name, size in list(need.peak.parts.items())[:PARTS] if size]
    lines = [
        ("As it is", " · ".join(held)),
        ("Peak", f"{need.peak.phase}: prefill of {how.prompt:,} tokens {gib(need.prefill.total_bytes)} GiB, "
                 f"last token {gib(need.decode.total_bytes)} GiB"),
        _kept(found),
    ]  # fmt: skip
    if found.longest_context is not None:
        limit = " (as long as the model takes)" if found.longest_context == found.profile.sequence_limit else ""
        lines.append(("Longest", f"{found.longest_context:,} tokens at {how.batch_size:,} at once{limit}"))
    lines.append(("Read", "bytes of weights, keys and values read for a token, which bound its time from below"))
    lines.append(("Range", "80 % of cases, as calibrated on training and forward passes; ~ is tight"))
    said = dict.fromkeys(note for way in ways for note in way.notes)
    lines += [("" if number else "Notes", note) for number, note in enumerate([*found.notes, *said])]
    if not found.fits:
        lines.append(("No way", f"nothing listed fits {found.device.id}; a larger device or more devices are needed"))
    return lines
