"""The machine at hand as text: what it calls itself, and which row of the database that is."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from estimator.text.figures import ESTIMATED, figure
from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.part import uncertain_fields

if TYPE_CHECKING:
    from hardware_db import Device
    from hardware_db.detect import Machine
    from hardware_db.detect_card import FoundCard
    from hardware_db.detect_cpu import FoundCpu

COLUMNS = (
    Column("PART", align="left"),
    Column("REPORTED AS", align="left", drop=3),
    Column("HARDWARE", align="left"),
    Column("BY", align="left", drop=1),
    Column("CORES", drop=6),
    Column("THREADS", drop=5),
    Column("MEMORY", "GiB"),
    Column("BANDWIDTH", "GB/s", drop=4),
    Column("FP32", "TFLOP/s", drop=2),
    Column("BF16", "TFLOP/s"),
)


def machine_text(page: Page, machine: Machine) -> str:
    """Return one line for the processor and one for each accelerator; figures are those of the part found here."""
    parts: list[tuple[str, FoundCpu | FoundCard]] = [("cpu", machine.cpu)]
    parts += [(f"card {number}", card) for number, card in enumerate(machine.cards)]
    rows = [Row(_cells(name, found)) for name, found in parts]
    said = [(name, found.note) for name, found in parts if found.note] + [("Note", note) for note in machine.notes]
    named = [found.device.id for _, found in parts if found.device is not None]
    unsure = any(ESTIMATED in cell for row in rows for cell in row.cells[3:])
    marked = [("Figures", f"{ESTIMATED} marks an estimate or a share of what is published")] * unsure
    following = [("Next", f"flopcast hardware {named[-1]}")] if named else []
    return page.render(*table(COLUMNS, rows, page.width), "", notes(said + marked + following))


def _cells(name: str, found: FoundCpu | FoundCard) -> list[str]:
    device = found.device
    reported = found.facts.name or MISSING
    cores = [figure(getattr(found.facts, each, None)) for each in ("cores", "threads")]
    if device is None:
        return [name, reported, MISSING, found.basis, *cores, figure(found.facts.memory_bytes, 2**30), *[MISSING] * 3]
    unsure = uncertain_fields(device)
    fields = (("memory_bytes", 2**30), ("memory_bandwidth_bytes_per_s", 1e9))
    known = [figure(getattr(device, field), unit, estimated=field in unsure) for field, unit in fields]
    peaks = [_peak(device, precision, unsure) for precision in ("float32", "bfloat16")]
    return [name, reported, device.id, found.basis, *cores, *known, *peaks]


def _peak(device: Device, precision: str, unsure: Collection[str]) -> str:
    if not device.supports(precision):
        return MISSING
    engine = "matrix_peaks" if precision in device.matrix_peaks else "vector_peaks"
    return figure(device.peak_flops_per_s(precision), 1e12, estimated=f"{engine}.{precision}" in unsure)
