"""Operation tables of measured cases, kept in a folder: tracing thousands of models takes hours, fitting minutes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from profiles.tables import Labels, OperationTable

if TYPE_CHECKING:
    from profiles.case_trace import ProfileQuestion

NUMBERS: Final = ("flops", "executed_flops", "bytes_read", "bytes_written", "count")
DIMS: Final = ("m", "n", "k", "batch", "kernel", "positions", "products")
NAMES: Final = ("family", "phase", "engine", "precision", "operator")


def path_of(question: ProfileQuestion, folder: Path) -> Path:
    """Return where the table of a question is kept."""
    return folder / f"{hashlib.sha256(question.text.encode()).hexdigest()[:24]}.npz"


def save(table: OperationTable, path: Path) -> None:
    """Keep the columns that time depends on, without the views."""
    rows = ~table.family.mask("view")
    missing = np.full(len(table), np.nan)
    numbers = {name: np.asarray(getattr(table, name))[rows].astype(np.float64) for name in NUMBERS}
    dims = {f"dim_{name}": table.dims.get(name, missing)[rows] for name in DIMS}
    names = {name: getattr(table, name).values[rows] for name in NAMES}
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {**numbers, **dims, **names}
    np.savez_compressed(path, **columns)


def load(path: Path) -> OperationTable:
    """Read a kept table back; columns that time does not depend on are empty."""
    with np.load(path) as kept:
        columns = {name: kept[name] for name in kept.files}
    n = len(columns["count"])
    nothing, no = Labels.of([""] * n), np.zeros(n, dtype=np.bool_)
    numbers: dict[str, Any] = {name: columns[name] for name in NUMBERS}
    names: dict[str, Any] = {name: Labels.of(columns[name].tolist()) for name in NAMES}
    return OperationTable(
        **numbers,
        **names,
        model_flops=columns["flops"],
        module=nothing,
        source=nothing,
        dims={name: columns[f"dim_{name}"] for name in DIMS},
        counted=~no,
        recomputed=no,
    )
