"""Tables of a profile before they are drawn: cells as text, column by column, the same for terminal and notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiles.breakdown import ITSELF, Column, ModuleRow, by_label, module_tree

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

MISSING = "-"
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
    """A table: headers, rows and the last row with the totals."""

    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    total: Line


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


@dataclass(frozen=True, slots=True)
class _Field:
    head: Head
    cell: Callable[[ModuleRow], str]


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
    total = Line("total", 0, tuple(field.cell(tree) for field in fields))
    return Sheet((Head("MODULE"), *(field.head for field in fields)), tuple(lines), total)


def _module_fields(profile: ModelProfile, tree: ModuleRow) -> list[_Field]:
    flops, prefix = scale_of(max(tree.flops.forward, tree.flops.backward))
    counted, count_prefix = scale_of(tree.parameters)
    kept, kept_prefix = scale_of(tree.activation_bytes)
    whole = tree.flops.total
    fields = [
        _Field(Head("PARAMETERS", count_prefix, 3), lambda row: _parameters(row, counted)),
        _Field(Head("FORWARD", f"{prefix}FLOPs"), lambda row: figure(row.flops.forward, flops)),
        _Field(Head("BACKWARD", f"{prefix}FLOPs"), lambda row: figure(row.flops.backward, flops)),
        _Field(Head("SHARE", "%", 4), lambda row: figure(100 * row.flops.total, whole) if whole else MISSING),
        _Field(Head("ACTIVATIONS", f"{kept_prefix}B", 2), lambda row: figure(row.activation_bytes, kept)),
        _Field(Head("FLOP/BYTE", "", 1), lambda row: figure(row.flops.total, row.bytes_moved.total or math.inf)),
    ]
    hidden = set() if profile.mode == "train" else {"BACKWARD", "ACTIVATIONS"}
    return [field for field in fields if field.head.title not in hidden]


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


def _add_lines(row: ModuleRow, level: int, levels: int, fields: Sequence[_Field], lines: list[Line]) -> None:
    lines.append(Line(row.name, level, tuple(field.cell(row) for field in fields)))
    if level + 1 < levels:
        for inner in _shortened(row.children):
            _add_lines(inner, level + 1, levels, fields, lines)


def group_sheet(profile: ModelProfile, column: Column) -> Sheet:
    """Return one row for every name in a column of the operation table; `*` marks what has no formula."""
    rows = by_label(profile, column)
    flops, moved = profile.flops, profile.bytes_moved
    unit, prefix = scale_of(flops.total)
    size, size_prefix = scale_of(moved.total)
    heads = (
        Head(column.upper()),
        Head("CALLS", "", 3),
        Head("FORWARD", f"{prefix}FLOPs", 1),
        Head("BACKWARD", f"{prefix}FLOPs", 2),
        Head("TOTAL", f"{prefix}FLOPs"),
        Head("SHARE", "%"),
        Head("MOVED", f"{size_prefix}B"),
        Head("SHARE", "%", 5),
        Head("FLOP/BYTE", "", 4),
    )
    lines = [
        Line(
            (row.name or "(unknown)") + ("" if row.counted else " *"),
            0,
            (
                f"{row.calls:,}",
                figure(row.flops.forward, unit),
                figure(row.flops.backward, unit),
                figure(row.flops.total, unit),
                figure(100 * row.flops.total, flops.total or math.inf),
                figure(row.bytes_moved.total, size),
                figure(100 * row.bytes_moved.total, moved.total or math.inf),
                figure(row.flops.total, row.bytes_moved.total or math.inf),
            ),
        )
        for row in rows
    ]
    total = (
        f"{sum(row.calls for row in rows):,}",
        figure(flops.forward, unit),
        figure(flops.backward, unit),
        figure(flops.total, unit),
        figure(100, 1) if flops.total else MISSING,
        figure(moved.total, size),
        figure(100, 1) if moved.total else MISSING,
        figure(flops.total, moved.total or math.inf),
    )
    return Sheet(heads, tuple(lines), Line("total", 0, total))
