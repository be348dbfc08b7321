"""A profile broken down by module, family, operator, phase or source line; every breakdown sums to the totals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import mul
from typing import TYPE_CHECKING, Literal

import numpy as np

from hardware_db.errors import DataError
from profiles.layers import Indices, layer_count, layer_indices, layer_text
from profiles.records import PHASES, PhaseTotals, TensorSpec

if TYPE_CHECKING:
    import pandas as pd

    from profiles.model_profile import ModelProfile

Column = Literal["family", "operator", "phase", "precision", "engine", "source"]
ITSELF = "(itself)"
OPTIMIZER = "(optimizer)"
_OPTIMIZER_BYTES = len(PHASES) + PHASES.index("optimizer")
TIED = "tied parameters"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """All operations that share a name: the sums over their calls.

    `counted` is False where an operator among them has no formula.
    """

    name: str
    flops: PhaseTotals
    bytes_moved: PhaseTotals
    calls: int
    counted: bool


def by_label(profile: ModelProfile, column: Column) -> tuple[GroupRow, ...]:
    """Return one row for every name in a column of the operation table: phases in order, else most FLOPs first."""
    table = profile.trace.table
    labels = getattr(table, column)
    rows = []
    for name in labels.names:
        chosen = labels.mask(name)
        calls = sum(table.count[chosen].tolist())
        flops, moved = table.totals("flops", chosen), table.totals("bytes_moved", chosen)
        rows.append(GroupRow(name, flops, moved, calls, bool(table.counted[chosen].all())))
    if column == "phase":
        return tuple(sorted(rows, key=lambda row: PHASES.index(row.name)))
    return tuple(sorted(rows, key=lambda row: (-row.flops.total, -row.bytes_moved.total, row.name)))


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """A module, or several equal layers, with everything inside.

    path              folded path, "transformer.h.[0-11]"; "" is the model
    name              how it is shown under its parent: "h (×12)", "attn"; "(itself)" for what a module with children
                      does in its own forward, "(optimizer)" for the step that updates all parameters
    layers            how many modules share the row
    parameters        of all these modules, tied ones once
    flops, bytes_moved, calls    sums over all these modules
    activation_bytes  what they keep from the forward for the backward pass
    tied              some module inside owns nothing but parameters that are counted elsewhere
    children          rows inside; they sum to this row
    """

    path: str
    name: str
    layers: int
    parameters: int
    flops: PhaseTotals
    bytes_moved: PhaseTotals
    activation_bytes: int
    calls: int
    tied: bool = False
    children: tuple[ModuleRow, ...] = ()


def costliest(profile: ModelProfile, depth: int | None = None) -> list[ModuleRow]:
    """Return the parts of a model, none inside another, the one that computes most first; together they are all of it.

    Parts are at most `depth` levels deep (None: as deep as there are) and named by their whole path.
    """
    parts = sorted(_parts(module_tree(profile), depth), key=lambda row: row.flops.total, reverse=True)
    return [replace(row, name=_full_name(row)) for row in parts]


def _parts(row: ModuleRow, depth: int | None) -> Iterator[ModuleRow]:
    if not row.children or depth == 0:
        yield row
    else:
        for child in row.children:
            yield from _parts(child, None if depth is None else depth - 1)


def _full_name(row: ModuleRow) -> str:
    return f"{row.path} {row.name}".strip() if row.name.startswith("(") else row.path or row.name


def by_module(profile: ModelProfile, depth: int) -> tuple[ModuleRow, ...]:
    """Return rows that do not overlap, each down to `depth` levels below the model; they sum to the totals."""
    rows: list[ModuleRow] = [module_tree(profile)]
    for _ in range(depth):
        rows = [inner for row in rows for inner in (row.children or (row,))]
    return tuple(rows)


def module_tree(profile: ModelProfile) -> ModuleRow:
    """Return the whole model as a tree of rows; equal layers of a list share one row."""
    return _row("", profile.model, 1, [*_operation_items(profile), *_memory_items(profile)])


Component = str | Indices


@dataclass(frozen=True, slots=True)
class _Item:
    """Something that belongs to a module: figures are sums over all layers that its path stands for.

    `trait` tells kinds of layers apart: layers with the same traits are shown as one row.
    """

    path: tuple[Component, ...]
    figures: tuple[int, ...]
    trait: str

    def step(self) -> _Item:
        return _Item(self.path[1:], self.figures, self.trait)

    def within(self, layers: Indices) -> _Item | None:
        """Return the part of the item that lies in these layers, without the index."""
        own = self.path[0]
        shared = sum(layer in own for layer in layers)
        if not shared:
            return None
        return _Item(self.path[1:], tuple(figure * shared // len(own) for figure in self.figures), self.trait)


def _operation_items(profile: ModelProfile) -> list[_Item]:
    table = profile.trace.table
    counts = table.count.tolist()
    flops = list(map(mul, table.flops.tolist(), counts))
    moved = list(map(mul, table.bytes_moved.tolist(), counts))
    rows = zip(table.module.values.tolist(), table.phase.values.tolist(), table.operator.values.tolist(), strict=True)
    items = []
    for at, (module, phase, operator) in enumerate(rows):
        figures = [0] * 9
        figures[PHASES.index(phase)], figures[3 + PHASES.index(phase)] = flops[at], moved[at]
        figures[8] = counts[at]
        items.append(_Item(_components(module), tuple(figures), operator if phase == "forward" else ""))
    return items


def _memory_items(profile: ModelProfile) -> list[_Item]:
    parameters = []
    for path, count in profile.module_parameters:
        each, rest = divmod(count, layer_count(path))
        if rest:
            raise DataError(f"{count:,} parameters cannot be shared equally by the layers '{path}'")
        parameters.append(_Item(_components(path), (0,) * 6 + (count, 0, 0), f"{each} parameters" if each else TIED))
    kept = profile.trace.activation_bytes.items()
    return parameters + [_Item(_components(path), (0,) * 7 + (size, 0), "") for path, size in kept]


def _components(path: str) -> tuple[Component, ...]:
    if not path:
        return ()
    pieces = ((piece, layer_indices(piece)) for piece in path.split("."))
    return tuple(name if layers is None else layers for name, layers in pieces)


def _row(path: str, name: str, layers: int, items: Sequence[_Item]) -> ModuleRow:
    """Build the row of a module from everything inside it."""
    kinds = _layer_kinds(items)
    if path and len(kinds) == 1 and all(item.path and not isinstance(item.path[0], str) for item in items):
        indices = kinds[0]
        label = f"{name} (×{len(indices)})" if len(indices) > 1 else f"{name}.{indices[0]}"
        inner = [part for item in items if (part := item.within(indices)) is not None]
        return _row(_join(path, layer_text(indices)), label, layers * len(indices), inner)
    children = _children(path, layers, items, kinds)
    own = [item for item in items if not item.path]
    if children and own:
        steps = [item for item in own if item.figures[PHASES.index("optimizer")] or item.figures[_OPTIMIZER_BYTES]]
        rest = [item for item in own if item not in steps]
        first = [_leaf(path, ITSELF, layers, rest)] if rest else []
        last = [_leaf(path, OPTIMIZER, layers, steps)] if steps else []
        children = [*first, *children, *last]
    return replace(_leaf(path, name, layers, items), children=tuple(children))


def _children(path: str, layers: int, items: Sequence[_Item], kinds: Sequence[Indices]) -> list[ModuleRow]:
    named: dict[str, list[_Item]] = {}
    for item in items:
        if item.path and isinstance(item.path[0], str):
            named.setdefault(item.path[0], []).append(item.step())
    rows = [_row(_join(path, name), name, layers, inner) for name, inner in named.items()]
    indexed = [item for item in items if item.path and not isinstance(item.path[0], str)]
    for indices in kinds:
        inner = [part for item in indexed if (part := item.within(indices)) is not None]
        text = layer_text(indices)
        label = text if len(indices) == 1 else f"{text} (×{len(indices)})"
        rows.append(_row(_join(path, text), label, layers * len(indices), inner))
    return rows


def _layer_kinds(items: Sequence[_Item]) -> list[Indices]:
    """Partition the layers of a list into kinds: layers with the same submodules, parameters and forward operators."""
    traits: dict[int, set[tuple[object, ...]]] = {}
    for item in items:
        if item.path and not isinstance(item.path[0], str):
            trait = (item.path[1:], item.trait)
            for layer in item.path[0]:
                traits.setdefault(layer, set()).add(trait)
    kinds: dict[frozenset[tuple[object, ...]], list[int]] = {}
    for layer in sorted(traits):
        plain = frozenset(trait for trait in traits[layer] if trait[1])
        kinds.setdefault(plain, []).append(layer)
    return [tuple(layers) for layers in kinds.values()]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _leaf(path: str, name: str, layers: int, items: Sequence[_Item]) -> ModuleRow:
    sums = [sum(column) for column in zip(*(item.figures for item in items), strict=True)] or [0] * 9
    flops, moved = PhaseTotals(*sums[0:3]), PhaseTotals(*sums[3:6])
    tied = any(item.trait == TIED for item in items)
    return ModuleRow(path, name, layers, sums[6], flops, moved, sums[7], sums[8], tied)


def to_frame(profile: ModelProfile) -> pd.DataFrame:
    """Return one row for every distinct operation; numbers are for one call, `count` says how many calls."""
    import pandas as pd

    table = profile.trace.table
    names = ("operator", "family", "phase", "module", "precision", "engine", "source")
    columns = {name: getattr(table, name).values for name in names}
    columns["inputs"] = np.array([_shapes(op.inputs) for op in profile.operations], dtype=object)
    columns["outputs"] = np.array([_shapes(op.outputs) for op in profile.operations], dtype=object)
    for name in ("count", "flops", "model_flops", "executed_flops", "bytes_read", "bytes_written"):
        columns[name] = getattr(table, name)
    return pd.DataFrame({**columns, **table.dims, "counted": table.counted, "recomputed": table.recomputed})


def _shapes(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{tensor.dtype}[{'×'.join(map(str, tensor.shape))}]" for tensor in tensors)
