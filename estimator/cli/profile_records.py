"""A profile as the mapping that `--json` prints: the names of `ModelProfile`, base units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profiles.breakdown import Column, GroupRow, ModuleRow
    from profiles.model_profile import ModelProfile
    from profiles.records import PhaseTotals

SETTINGS = ("model", "mode", "precision", "optimizer", "device", "batch_size", "sequence_length", "image_size")
TOTALS = ("flops", "matmul_flops", "model_flops", "executed_flops", "bytes_moved")
TRACING = ("rung", "rung_reason", "notes")


def settings_of(profile: ModelProfile) -> dict[str, Any]:
    """Return what was asked."""
    return {name: getattr(profile, name) for name in SETTINGS}


def profile_record(profile: ModelProfile) -> dict[str, Any]:
    """Return what is known of a step, without its operations."""
    known = profile.trace.memory
    return {
        **settings_of(profile),
        "parameters": profile.parameters,
        "trainable_parameters": profile.trainable_parameters,
        **{name: phases(getattr(profile, name)) for name in TOTALS},
        "arithmetic_intensity": profile.arithmetic_intensity,
        "peak_memory_bytes": known.peak_bytes if known else None,
        "memory": asdict(known) if known else None,
        "uncounted": [asdict(each) for each in profile.uncounted],
        **{name: getattr(profile, name) for name in TRACING},
        "versions": dict(profile.versions),
    }


def breakdown_records(profile: ModelProfile, by: Column | None, depth: int | None, top: int) -> list[dict[str, Any]]:
    """Return the rows of the table: modules down to `depth` (None: as many levels as there are), or groups.

    With `top` above 0 only so many: the first groups, or the modules that compute most, none inside another.
    """
    from profiles.breakdown import by_label, costliest, module_tree

    if by is not None:
        return [_group(row) for row in by_label(profile, by)[: top or None]]
    if top:
        return [_module(row, 0) for row in costliest(profile, depth)[:top]]
    return _modules([module_tree(profile)], depth)


def phases(totals: PhaseTotals) -> dict[str, int]:
    """Return a quantity by phase, with its total."""
    return {**asdict(totals), "total": totals.total}


def _group(row: GroupRow) -> dict[str, Any]:
    figures = {"flops": phases(row.flops), "bytes_moved": phases(row.bytes_moved)}
    return {"name": row.name, **figures, "calls": row.calls, "counted": row.counted}


def _modules(rows: Sequence[ModuleRow], depth: int | None) -> list[dict[str, Any]]:
    """Return the tree as a flat list, every row before what is in it; rows overlap, `depth` tells the levels apart."""
    listed: list[tuple[int, ModuleRow]] = []

    def walk(row: ModuleRow, level: int) -> None:
        listed.append((level, row))
        for child in row.children if depth is None or level < depth else ():
            walk(child, level + 1)

    for row in rows:
        walk(row, 0)
    return [_module(row, level) for level, row in listed]


def _module(row: ModuleRow, level: int) -> dict[str, Any]:
    names = ("path", "name", "layers", "parameters", "activation_bytes", "calls")
    figures = {"flops": phases(row.flops), "bytes_moved": phases(row.bytes_moved)}
    return {"level": level, **{name: getattr(row, name) for name in names}, **figures}
