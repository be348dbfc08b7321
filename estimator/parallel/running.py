"""The operations that one device runs of a split step, as its software runs them, and how long each takes alone.

Formulas of time look at one operation at a time, so the tables of many splits are timed as one long table: a hundred
small ones cost little more than one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from estimator.parallel.adjust import chip_correction, is_measured
from estimator.parallel.blocks import LAST
from estimator.parallel.fused import with_chains, without_masks
from estimator.parallel.layout import Layout, layout_of
from estimator.parallel.memory import AUTOCAST, computes_in_halves
from estimator.parallel.roles import Role
from estimator.parallel.sharding import on_scores, sharded_table
from estimator.timing import TimeBreakdown, TimeSettings, predict
from profiles.tables import LABELS, QUANTITIES, Labels, OperationTable

if TYPE_CHECKING:
    from estimator.parallel.parallelism import Parallelism
    from estimator.parallel.stack import Stack
    from estimator.timing.settings import MemoryFormat
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

FLOAT8: Final = "float8"
FUSED: Final = "megatron"
"""Execution in which one kernel stands for an activation that the model's own definition writes out."""

CAST: Final = "aten._to_copy"

KEPT: Final = 4096
"""Timed tables that are kept for the next time."""

TOGETHER: Final = 64
"""Tables that are timed as one; more do not fit into a processor's cache."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one device runs: a micro-batch of a profile, split, by a software; `halves`: in 16-bit copies of weights."""

    profile: ModelProfile
    split: Parallelism
    device: Device
    stack: Stack
    memory_format: MemoryFormat
    halves: bool

    @property
    def machine(self) -> tuple[Device, Stack, MemoryFormat]:
        """What decides how long an operation takes."""
        return self.device, self.stack, self.memory_format

    def table(self) -> OperationTable:
        """Return the operations of one device as its software runs them.

        Raises
        ------
        UsageError
            the split does not divide the model
        """
        table = low_precision(sharded_table(self.profile, self.split), layout_of(self.profile))
        if self.stack.fused_attention:
            table = replace(table, count=np.where(on_scores(self.profile), 0, table.count))
        if self.stack.windows:
            table = without_masks(table, self.profile)
        if self.stack.execution == FUSED:
            table = with_chains(table, self.profile)
        if self.halves:
            table = without_autocast(table, self.profile.precision.removeprefix(AUTOCAST))
        return table


def run_of(profile: ModelProfile, split: Parallelism, machine: tuple[Device, Stack, MemoryFormat]) -> Run:
    """Return what one device runs of a split; only whether it computes in halves depends on its ZeRO stage."""
    device, stack, memory_format = machine
    halves = computes_in_halves(profile, split, stack)
    return Run(profile, replace(split, zero_stage=0), device, stack, memory_format, halves)


Timed = tuple[OperationTable, TimeBreakdown]


@dataclass
class Times:
    """Tables that were timed, the last used ones."""

    known: OrderedDict[Run, Timed] = field(default_factory=OrderedDict)

    def of(self, run: Run) -> Timed:
        """Return the operations of a run and their times as the formulas say.

        Factors of a software were found on top of what is known of the chip; software without factors runs as published
        steps of the device itself did.

        Raises
        ------
        UsageError
            the split does not divide the model
        UnknownPrecision
            the device has no peak for a precision of the profile
        """
        if run not in self.known:
            self.prepare([run])
        self.known.move_to_end(run)
        return self.known[run]

    def prepare(self, runs: Iterable[Run]) -> None:
        """Time many runs at once; those that are alike in all but their sizes as one table."""
        alike: dict[Any, list[tuple[Run, OperationTable]]] = {}
        for run in runs:
            if run not in self.known:
                table = run.table()
                alike.setdefault((run.machine, _form(table)), []).append((run, table))
        for found in alike.values():
            for start in range(0, len(found), TOGETHER):
                self._time(found[start : start + TOGETHER])
        while len(self.known) > KEPT:
            self.known.popitem(last=False)

    def _time(self, together: Sequence[tuple[Run, OperationTable]]) -> None:
        device, stack, memory_format = together[0][0].machine
        correction = chip_correction(device) if is_measured(stack.name) else None
        tables = [table for _, table in together]
        settings = TimeSettings(stack.execution, memory_format)
        found = predict(_joined(tables), device, settings, correction)
        for at, (run, table) in enumerate(together):
            mine = np.s_[..., at * len(table) : (at + 1) * len(table)]
            self.known[run] = (
                table,
                TimeBreakdown(
                    device_s=found.device_s[mine], host_s=found.host_s[mine], bound=found.bound[mine], basis=found.basis
                ),
            )


TIMES: Final = Times()


def _form(table: OperationTable) -> tuple[Any, ...]:
    """What tables must have in common to be one: names, dims and number of rows."""
    return (len(table), tuple(sorted(table.dims)), *(getattr(table, name).names for name in LABELS))


def _joined(tables: Sequence[OperationTable]) -> OperationTable:
    """Put tables of one form below each other."""
    if len(tables) == 1:
        return tables[0]
    flat = (*QUANTITIES, "count", "counted", "recomputed")
    columns: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in tables]) for name in flat}
    for name in LABELS:
        labels: list[Labels] = [getattr(each, name) for each in tables]
        columns[name] = Labels(np.concatenate([each.codes for each in labels]), labels[0].names)
    dims = {name: np.concatenate([each.dims[name] for each in tables]) for name in tables[0].dims}
    return OperationTable(**columns, dims=dims)


def low_precision(table: OperationTable, layout: Layout) -> OperationTable:
    """Run products in float8 as recipes do: those of layers and experts, not those of routers and heads.

    (NVIDIA Transformer Engine, fp8_autocast of the modules of a layer; torchao float8 skips the output layer.)
    """
    if FLOAT8 not in table.precision.names:
        return table
    product = layout.axes[:, 0] >= 0
    layers = layout.blocks.shares[1:LAST].any(axis=0)
    names = table.precision.values.astype("U16")
    names[product & layers & (layout.role >= Role.COLUMN)] = FLOAT8
    names[product & ~(layers & (layout.role >= Role.COLUMN)) & (names == FLOAT8)] = "bfloat16"
    return replace(table, precision=Labels.of(names.tolist()))


def without_autocast(table: OperationTable, half: str = "bfloat16") -> OperationTable:
    """Return the operations of a step recorded under autocast as they run in 16-bit weights: no casts, half the bytes.

    Autocast casts weights and activations at every operation and keeps norms, residuals and losses in float32, and
    products that it does not know (of experts) as well; with 16-bit weights all but the optimizer runs on 16 bits.
    """
    passes = ~table.phase.mask("optimizer")
    casts = passes & table.operator.mask(CAST)
    wide = passes & table.precision.mask("float32") & ~casts
    left = np.where(casts, 0.0, np.where(wide, 0.5, 1.0))
    moved = {name: (getattr(table, name) * left).astype(np.int64) for name in ("bytes_read", "bytes_written")}
    names = table.precision.values.astype("U16")
    names[wide & table.engine.mask("matrix")] = half
    return replace(table, count=np.where(casts, 0, table.count), precision=Labels.of(names.tolist()), **moved)
