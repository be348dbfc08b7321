"""The machine at hand as text: what it calls itself, and which row of the database that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.text.figures import figure
from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table

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
    following = [("Next", f"flopcast hardware {named[-1]}")] if named else []
    return page.render(*table(COLUMNS, rows, page.width), "", notes(said + following))


def _cells(name: str, found: FoundCpu | FoundCard) -> list[str]:
    device = found.device
    reported = found.facts.name or MISSING
    cores = [figure(getattr(found.facts, each, None)) for each in ("cores", "threads")]
    if device is None:
        return [name, reported, MISSING, found.basis, *cores, figure(found.facts.memory_bytes, 2**30), *[MISSING] * 3]
    bandwidth = figure(device.memory_bandwidth_bytes_per_s, 1e9)
    peaks = [_peak(device, precision) for precision in ("float32", "bfloat16")]
    return [name, reported, device.id, found.basis, *cores, figure(device.memory_bytes, 2**30), bandwidth, *peaks]


def _peak(device: Device, precision: str) -> str:
    return figure(device.peak_flops_per_s(precision), 1e12) if device.supports(precision) else MISSING
