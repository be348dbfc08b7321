"""A profile as people read it: its modules, its work by phase and the lines under them, as text and as HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

from hardware_db.units import format_count
from profiles.breakdown import Column
from profiles.display_work import work_lines, work_sheet
from profiles.records import MemoryFootprint
from profiles.sheets import Line, Sheet, amount, figure, group_sheet, module_sheet, scale_of

if TYPE_CHECKING:
    from rich.table import Table

    from profiles.model_profile import ModelProfile

WIDTH = 120
CONVENTION = "1 multiply-add = 2 FLOPs"
OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD", "sgd-momentum": "SGD with momentum"}
_HOLDERS = (
    ("parameter_bytes", "parameters"),
    ("gradient_bytes", "gradients"),
    ("optimizer_state_bytes", "optimizer"),
    ("activation_bytes", "activations"),
    ("buffer_bytes", "buffers"),
    ("input_bytes", "inputs"),
)


def text(profile: ModelProfile, by: Column | None = None, depth: int | None = None, width: int = WIDTH) -> str:
    """Return the profile as a page of text.

    Parameters
    ----------
    profile
        What is shown.
    by
        None for the tree of modules, else "family", "operator", "phase", "precision" or "source".
    depth
        Levels of the tree below the model; by default as many as are readable.
    width
        Columns of the page; a narrow page shows fewer columns of the table, it never wraps a row.
    """
    sheet = module_sheet(profile, depth) if by is None else group_sheet(profile, by)
    lines = [_hanging(name, value, width) for name, value in summary(profile)]
    work = sheet_text(work_sheet(profile), width)
    return "\n".join([headline(profile), "", sheet_text(sheet, width), "", work, "", *lines])


def _hanging(name: str, value: str, width: int) -> str:
    """Return a named line; what does not fit goes on under the text, not under the name."""
    return textwrap.fill(f"{name:<9} {value}", max(width, 40), subsequent_indent=" " * 10, break_on_hyphens=False)


def headline(profile: ModelProfile) -> str:
    """Return one line on what was profiled: model, size, precision, optimizer."""
    optimizer = profile.optimizer and OPTIMIZERS.get(profile.optimizer, profile.optimizer)
    parts = [
        profile.model,
        f"{format_count(profile.parameters)} parameters",
        _size(profile),
        profile.precision,
        optimizer,
        "one training step" if profile.mode == "train" else "one forward pass",
    ]
    return " · ".join(part for part in parts if part)


def _size(profile: ModelProfile) -> str:
    batch = f"batch {profile.batch_size:,}"
    if profile.sequence_length is not None:
        return f"{batch} × {profile.sequence_length:,} tokens"
    return f"{batch} × {profile.image_size}² pixels" if profile.image_size else batch


def summary(profile: ModelProfile) -> list[tuple[str, str]]:
    """Return the lines under the tables: (name, text) of step, memory, what was counted, and notes."""
    step = f"{amount(profile.flops.total, 'FLOPs')}, {_per_sample(profile)} ({CONVENTION})"
    lines = [("Step", step), *work_lines(profile)]
    lines += [("Memory", _memory(profile)), ("Counted", _counted(profile)), ("Traced", _traced(profile))]
    lines += [("Note", note) for note in _notes(profile)]
    return [(name, line) for name, line in lines if line]


def _per_sample(profile: ModelProfile) -> str:
    each = profile.flops.total / (profile.batch_size * (profile.sequence_length or 1))
    if profile.sequence_length is None:
        return f"{amount(each, 'FLOPs')} per sample"
    times = f", {figure(each / profile.parameters, 1)} × parameters" if profile.parameters else ""
    return f"{amount(each, 'FLOPs')} per token{times}"


def _memory(profile: ModelProfile) -> str:
    footprint = profile.trace.memory
    if footprint is None:
        return "not recorded"
    unit, prefix = scale_of(footprint.peak_bytes)
    place = f" ({footprint.peak_module})" if footprint.peak_module else ""
    parts = " + ".join(f"{figure(size, unit)} {name}" for name, size in _holders(footprint))
    return f"{figure(footprint.peak_bytes, unit)} {prefix}B peak in {footprint.peak_phase}{place}: {parts}"


def _holders(footprint: MemoryFootprint) -> Iterator[tuple[str, int]]:
    """Yield what holds the memory; holders of less than a thousandth come last and together."""
    temporary = {"activations": "temporaries"} if footprint.peak_phase == "optimizer" else {}
    sizes = [(temporary.get(name, name), getattr(footprint, field)) for field, name in _HOLDERS]
    least = footprint.peak_bytes / 1000
    yield from ((name, size) for name, size in sizes if size and size >= least)
    if rest := [(name, size) for name, size in sizes if 0 < size < least]:
        yield ", ".join(name for name, _ in rest), sum(size for _, size in rest)


def _counted(profile: ModelProfile) -> str:
    missing = profile.uncounted
    if not missing:
        return "every operation has a formula"
    share = 100 * (1 - sum(each.share for each in missing))
    names = ", ".join(f"{each.operator} ({_calls(each.calls)}, {_share(each.share)})" for each in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"{_percent(share)} of the bytes; without a formula (FLOPs estimated): {names}{more}"


def _percent(share: float) -> str:
    """Return a share that is below 100 % as such, never rounded up to it."""
    return f"{min(share, 99.9):.1f} %"


def _share(share: float) -> str:
    return f"{figure(100 * share, 1)} %" if share else "no bytes"


def _calls(count: int) -> str:
    return f"{count:,} call" + ("s" if count != 1 else "")


def _traced(profile: ModelProfile) -> str:
    rungs = {
        "fake": "on fake tensors",
        "cpu": "by running on the CPU",
    }
    if profile.rung not in rungs:
        return ""
    return rungs[profile.rung] + (f": {profile.rung_reason}" if profile.rung_reason else "")


def _notes(profile: ModelProfile) -> list[str]:
    if profile.trace.exact:
        return list(profile.notes)
    size = "batch size 1" if profile.batch_size == 1 else "sequence length 1"
    return [
        *profile.notes,
        f"{size} follows from larger ones; a few small operations that vanish there are still counted",
    ]


def sheet_text(sheet: Sheet, width: int = WIDTH) -> str:
    """Draw a table in plain text no wider than `width`, leaving out columns as their headers say."""
    dropped: set[int] = set()
    while True:
        drawn = _draw(sheet, dropped)
        left = [head.drop for head in sheet.heads if head.drop and head.drop not in dropped]
        if not left or max(map(len, drawn.splitlines()), default=0) <= width:
            return drawn
        dropped.add(min(left))


def _draw(sheet: Sheet, dropped: set[int]) -> str:
    from rich.console import Console

    console = Console(file=StringIO(), width=10_000, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(_table(sheet, dropped))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _table(sheet: Sheet, dropped: set[int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    shown = [at for at, head in enumerate(sheet.heads) if head.drop not in dropped]
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0), pad_edge=False)
    for at in shown:
        table.add_column(justify="right" if at else "left", no_wrap=True)
    titles, units = [head.title for head in sheet.heads], [head.unit for head in sheet.heads]
    rule = ["", *("-" * len(cell) if cell != "-" else "-" for cell in sheet.total.cells)]
    rows = [
        titles,
        *([units] if any(units) else []),
        *map(_cells, sheet.lines),
        rule,
        *map(_cells, (sheet.total, *sheet.below)),
    ]
    for row in rows:
        table.add_row(*(Text(row[at]) for at in shown))
    return table


def _cells(line: Line) -> list[str]:
    return ["  " * line.level + line.label, *line.cells]


def html(profile: ModelProfile) -> str:
    """Return the profile for a notebook: escaped, without colours of its own."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in summary(profile))
    title = f"<p><strong>{escape(headline(profile))}</strong></p>"
    tables = sheet_html(module_sheet(profile)) + sheet_html(work_sheet(profile))
    return f"<div>{title}{tables}<dl>{lines}</dl></div>"


def sheet_html(sheet: Sheet) -> str:
    """Return a table as HTML; every text in it is escaped."""
    heads = "".join(_html_head(head.title, head.unit) for head in sheet.heads)
    body = "".join(f"<tr>{_html_cells(line)}</tr>" for line in sheet.lines)
    foot = "".join(f"<tr>{_html_cells(line)}</tr>" for line in (sheet.total, *sheet.below))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table>"


def _html_head(title: str, unit: str) -> str:
    return f'<th scope="col">{escape(title)}' + (f"<br><small>{escape(unit)}</small>" if unit else "") + "</th>"


def _html_cells(line: Line) -> str:
    label = f'<th scope="row" style="text-align:left;padding-left:{0.5 + line.level}em">{escape(line.label)}</th>'
    cells: Sequence[str] = line.cells
    return label + "".join(f'<td style="text-align:right">{escape(cell)}</td>' for cell in cells)
