"""Tables of a profile before they are drawn: cells as text, column by column, the same for terminal and notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiles.breakdown import ITSELF, Column, GroupRow, ModuleRow, by_label, costliest, module_tree
from profiles.records import PhaseTotals

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

MISSING = "-"
OUTSIDE = "(outside of the model's code)"
MOST_SIBLINGS = 24
_PREFIXES = (
    (1e24, "Y"),
    (1e21, "Z"),
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
)


@dataclass(frozen=True, slots=True)
class Head:
    """Header of a column: its title, its unit, and when it goes first if the page is narrow (0 never)."""

    title: str
    unit: str = ""
    drop: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A row: the label, how far it is indented, and the cells after it."""

    label: str
    level: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: headers, rows, the row with their totals, and rows below it that are no part of them."""

    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    total: Line
    below: tuple[Line, ...] = ()


def figure(value: float, unit: float) -> str:
    """Return three significant digits of `value` in `unit`; a dash for none, "<0.001" rather than a false 0."""
    scaled = value / unit
    if not scaled or not math.isfinite(scaled):
        return MISSING
    if abs(scaled) < 0.001:
        return "<0.001"
    rounded = float(f"{scaled:.3g}")
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{digits}f}"


def scale_of(value: float) -> tuple[float, str]:
    """Return the unit prefix in which the value is at least 1: 7.1e12 gives (1e12, "T")."""
    return next((step for step in _PREFIXES if float(f"{abs(value):.3g}") >= step[0]), _PREFIXES[-1])


def amount(value: float, unit: str) -> str:
    """Return "7.14 TFLOPs" for 7.14e12 and "FLOPs"."""
    factor, prefix = scale_of(value)
    if factor == 1 and value == int(value):
        return f"{int(value)} {unit}"
    return f"{figure(value, factor)} {prefix}{unit}"


ModuleField = tuple[Head, Callable[[ModuleRow], str]]


def module_sheet(profile: ModelProfile, depth: int | None = None) -> Sheet:
    """Return the tree of modules.

    Parameters
    ----------
    profile
        What is shown.
    depth
        Levels below the model, counted as in `by_module`; by default two below the module that holds most of it.
    """
    tree = module_tree(profile)
    fields = _module_fields(profile, tree)
    top, dissolved = _dissolve(tree)
    levels = 2 if depth is None else max(1, depth - dissolved)
    lines: list[Line] = []
    for row in _shortened(top):
        _add_lines(row, 0, levels, fields, lines)
    total = Line("total", 0, tuple(cell(tree) for _, cell in fields))
    return Sheet((Head("MODULE"), *(head for head, _ in fields)), tuple(lines), total)


def costliest_sheet(profile: ModelProfile, depth: int | None = None) -> Sheet:
    """Return one row for every part of a model, none inside another, the one that computes most first."""
    tree = module_tree(profile)
    fields = _module_fields(profile, tree)
    rows = [*costliest(profile, depth), replace(tree, name="total")]
    *lines, total = (Line(row.name, 0, tuple(cell(row) for _, cell in fields)) for row in rows)
    return Sheet((Head("MODULE"), *(head for head, _ in fields)), tuple(lines), total)


def _module_fields(profile: ModelProfile, tree: ModuleRow) -> list[ModuleField]:
    flops, prefix = scale_of(max(tree.flops.forward, tree.flops.backward))
    counted, count_prefix = scale_of(tree.parameters)
    kept, kept_prefix = scale_of(tree.activation_bytes)
    whole = tree.flops.total
    fields = [
        (Head("PARAMETERS", count_prefix, 3), lambda row: _parameters(row, counted)),
        (Head("FORWARD", f"{prefix}FLOPs"), lambda row: figure(row.flops.forward, flops)),
        (Head("BACKWARD", f"{prefix}FLOPs"), lambda row: figure(row.flops.backward, flops)),
        (Head("SHARE", "%", 4), lambda row: figure(100 * row.flops.total, whole) if whole else MISSING),
        (Head("ACTIVATIONS", f"{kept_prefix}B", 2), lambda row: figure(row.activation_bytes, kept)),
        (Head("FLOP/BYTE", "", 1), lambda row: figure(row.flops.total, row.bytes_moved.total or math.inf)),
    ]
    hidden = {
        "PARAMETERS": not profile.module_parameters,
        "BACKWARD": profile.mode == "forward",
        "ACTIVATIONS": not tree.activation_bytes,
    }
    return [(head, cell) for head, cell in fields if not hidden.get(head.title)]


def _parameters(row: ModuleRow, unit: float) -> str:
    return "(tied)" if row.tied and not row.parameters else figure(row.parameters, unit)


def _dissolve(tree: ModuleRow) -> tuple[list[ModuleRow], int]:
    """Replace a wrapper that holds more than half of the work by what is in it: "transformer.h" instead of "h"."""
    rows, levels = list(tree.children) or [tree], 0
    while (at := _wrapper(rows, tree)) is not None:
        wrapper = rows[at]
        inner = [
            replace(row, name=wrapper.name if row.name == ITSELF else f"{wrapper.name}.{row.name}")
            for row in wrapper.children
        ]
        rows[at : at + 1] = inner
        levels += 1
    return rows, levels


def _wrapper(rows: Sequence[ModuleRow], tree: ModuleRow) -> int | None:
    half = tree.flops.total / 2
    found = (at for at, row in enumerate(rows) if row.layers == 1 and row.children and row.flops.total > half)
    return next(found, None)


def _shortened(rows: Sequence[ModuleRow]) -> list[ModuleRow]:
    """Leave out rows that do and hold nothing, and put the least of very many into one row."""
    telling = [
        row for row in rows if row.flops.total or row.parameters or row.bytes_moved.total or row.activation_bytes
    ]
    if len(telling) <= MOST_SIBLINGS:
        return telling
    ranked = sorted(telling, key=lambda row: (row.flops.total, row.parameters), reverse=True)
    small = ranked[MOST_SIBLINGS - 1 :]
    rest = {row.path for row in small}
    return [row for row in telling if row.path not in rest] + [_merged(small)]


def _merged(rows: Sequence[ModuleRow]) -> ModuleRow:
    first = rows[0]
    for row in rows[1:]:
        first = replace(
            first,
            parameters=first.parameters + row.parameters,
            flops=first.flops + row.flops,
            bytes_moved=first.bytes_moved + row.bytes_moved,
            activation_bytes=first.activation_bytes + row.activation_bytes,
            calls=first.calls + row.calls,
        )
    return replace(first, name=f"… {len(rows)} more", children=())


def _add_lines(row: ModuleRow, level: int, levels: int, fields: Sequence[ModuleField], lines: list[Line]) -> None:
    lines.append(Line(row.name, level, tuple(cell(row) for _, cell in fields)))
    if level + 1 < levels:
        for inner in _shortened(row.children):
            _add_lines(inner, level + 1, levels, fields, lines)


def group_sheet(profile: ModelProfile, column: Column) -> Sheet:
    """Return one row for every name in a column of the operation table; `*` marks what has no formula.

    Names that neither compute nor move anything, like views, share the last row.
    """
    rows = by_label(profile, column)
    whole = GroupRow("total", profile.flops, profile.bytes_moved, sum(row.calls for row in rows), True)
    fields = _group_fields(whole)
    telling = [row for row in rows if row.flops.total or row.bytes_moved.total]
    idle = [row for row in rows if not row.flops.total and not row.bytes_moved.total]
    if len(idle) > 1:
        name = f"{len(idle)} that only look at tensors"
        telling.append(GroupRow(name, PhaseTotals(), PhaseTotals(), sum(row.calls for row in idle), True))
    else:
        telling += idle
    lines = tuple(_group_line(row, fields) for row in telling)
    heads = (Head(column.upper()), *(head for head, _ in fields))
    return Sheet(heads, lines, _group_line(whole, fields))


GroupField = tuple[Head, Callable[[GroupRow], str]]


def _group_fields(whole: GroupRow) -> list[GroupField]:
    unit, prefix = scale_of(whole.flops.total)
    size, size_prefix = scale_of(whole.bytes_moved.total)
    flops, moved = whole.flops.total or math.inf, whole.bytes_moved.total or math.inf
    return [
        (Head("CALLS", "", 3), lambda row: f"{row.calls:,}"),
        (Head("FORWARD", f"{prefix}FLOPs", 1), lambda row: figure(row.flops.forward, unit)),
        (Head("BACKWARD", f"{prefix}FLOPs", 2), lambda row: figure(row.flops.backward, unit)),
        (Head("TOTAL", f"{prefix}FLOPs"), lambda row: figure(row.flops.total, unit)),
        (Head("SHARE", "%"), lambda row: figure(100 * row.flops.total, flops)),
        (Head("MOVED", f"{size_prefix}B"), lambda row: figure(row.bytes_moved.total, size)),
        (Head("SHARE", "%", 5), lambda row: figure(100 * row.bytes_moved.total, moved)),
        (Head("FLOP/BYTE", "", 4), lambda row: figure(row.flops.total, row.bytes_moved.total or math.inf)),
    ]


def _group_line(row: GroupRow, fields: Sequence[GroupField]) -> Line:
    name = (row.name or OUTSIDE) + ("" if row.counted else " *")
    return Line(name, 0, tuple(cell(row) for _, cell in fields))
