"""Whether a step fits, as text: what is needed and by what, how large it can be, and a table of ways to make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from estimator.memory import layers_of
from estimator.text.figures import figure
from estimator.text.notes import flow, notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_bytes

if TYPE_CHECKING:
    from estimator.fit.result import Fit, Way
    from estimator.memory import MemoryNeed
    from estimator.ranges import Range

COLUMNS = (
    Column("", align="left", gap=1),
    Column("CHANGE", align="left"),
    Column("MEMORY", unit="GiB"),
    Column("RANGE", unit="80 %", drop=2),
    Column("SAVED", unit="GiB"),
    Column("TIME", unit="×"),
    Column("RANGE", drop=1),
    Column("MICRO-BATCH", unit="largest"),
)
WORDS = {"fits": "fits", "tight": "tight", "out_of_memory": "does not fit"}
PARTS = 5
REMEDY = "a larger device is needed, or more that share each layer or the stack of layers (flopcast plan)"
GIB = 2**30


def fit_text(found: Fit, page: Page | None = None, limit: int = 0) -> str:
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


def _head(found: Fit, width: int) -> str:
    profile, need = found.profile, found.need
    sequence = "" if profile.sequence_length is None else f" × {profile.sequence_length:,} tokens"
    devices = f"{found.count} × {found.device.id}" if found.count > 1 else found.device.id
    optimizer = [] if found.optimizer is None else [found.optimizer]
    parts = [
        profile.model,
        profile.precision,
        *optimizer,
        f"micro-batch {profile.batch_size:,}{sequence}",
        f"{devices} {gib(need.capacity_bytes or 0)} GiB",
        verdict(need),
    ]
    return flow(parts, width)


def verdict(need: MemoryNeed) -> str:
    """Return whether it fits, with the probability that it does not where that is neither sure nor ruled out."""
    word, risk = WORDS[need.verdict or "tight"], need.probability_out_of_memory
    return f"{word} ({risk:.0%} out of memory)" if risk is not None and 0.005 < risk < 0.995 else word


def _now(found: Fit) -> Row:
    need = found.need
    cells = [mark(need), "as it is", gib(need.total_bytes), span(need.total), MISSING, "1", "1-1"]
    return Row([*cells, size_or_dash(found.largest_micro_batch)])


def mark(need: MemoryNeed) -> str:
    """Return a tick where it fits, a wave where it fits in the middle of the range but not at its end."""
    if need.verdict == "fits":
        return "✓"
    return "~" if need.capacity_bytes is not None and need.total_bytes <= need.capacity_bytes else ""


def _row(way: Way) -> Row:
    cells = [
        mark(way.need),
        " + ".join(way.changes),
        gib(way.need.total_bytes),
        span(way.need.total),
        gib(way.saved_bytes),
        f"{way.time.mid:.2f}" if way.time else MISSING,
        f"{way.time.low:.2f}-{way.time.high:.2f}" if way.time else MISSING,
        size_or_dash(way.largest_micro_batch),
    ]
    return Row(cells, style="" if way.fits else "dim")


def size_or_dash(size: int | None) -> str:
    """Return a number with commas, a dash for None."""
    return MISSING if size is None else f"{size:,}"


def gib(size: float) -> str:
    """Return bytes in GiB."""
    return figure(size, GIB)


def span(total: Range) -> str:
    """Return both ends of a range of bytes in GiB."""
    return f"{gib(total.low)}-{gib(total.high)}"


def _beside(found: Fit) -> Iterator[tuple[str, str]]:
    """Yield what a device's share of the host must hold, and what goes to disk."""
    host, training = found.host, found.profile.optimizer is not None
    moved = f", of it {gib(host.offloaded_bytes)} GiB offloaded" if host.offloaded_bytes else ""
    said = "; ".join(host.assumptions)
    yield "Host", f"{gib(host.total.mid)} GiB a device ({span(host.total)}){moved}; assumed: {said}"
    holds = "weights and optimizer" if training else "weights"
    yield (
        "Disk",
        f"{format_bytes(host.checkpoint_bytes)} a checkpoint ({holds}), {format_bytes(host.sample_bytes)} a sample",
    )


def _footer(found: Fit, ways: Sequence[Way]) -> list[tuple[str, str]]:
    need = found.need
    held = [f"{gib(size)} GiB {name}" for name, size in list(need.parts.items())[:PARTS] if size]
    lines = [("As it is", " · ".join(held)), ("Peak", f"{need.phase} pass, {need.module or 'outside of all modules'}")]
    if found.longest_sequence is not None:
        limit = " (as long as the model takes)" if found.longest_sequence == found.profile.sequence_limit else ""
        batch = found.profile.batch_size
        lines.append(("Longest", f"{found.longest_sequence:,} tokens at micro-batch {batch:,}{limit}"))
    if found.most_layers is not None:
        lines.append(("Deepest", f"{found.most_layers:,} layers of this width (now {layers_of(found.profile):,})"))
    lines += list(_beside(found))
    lines.append(
        ("Range", "80 % of cases; tensors are counted, workspaces, allocator and context have ranges; ~ is tight")
    )
    said = dict.fromkeys(note for way in ways for note in way.notes)
    lines += [("" if number else "Notes", note) for number, note in enumerate([*found.notes, *said])]
    if not found.fits:
        lines.append(("No way", f"nothing listed fits {found.device.id}: {REMEDY}"))
    return lines
