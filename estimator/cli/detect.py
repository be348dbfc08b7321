"""`flopcast detect`: what this machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from estimator.cli.doctor import installed_torch
from estimator.cli.market_options import devices_option
from estimator.cli.output import Answer, Output, output_options, plain
from estimator.cli.progress import progress

if TYPE_CHECKING:
    from pathlib import Path

    from estimator.text.page import Page
    from hardware_db.detect import Machine
    from hardware_db.detect_card import FoundCard
    from hardware_db.detect_cpu import FoundCpu


@click.command("detect")
@devices_option
@output_options
def command(devices_file: Path | None, output: Output) -> int:
    """Find out what this machine is: its processor and accelerators, and the rows of the database that they are."""
    from hardware_db.detect import detect, may_have_card
    from hardware_db.here import load_here

    here = load_here(devices_file, needs_own=False)
    with progress("Asking torch and the drivers", output):
        machine = detect(here.database, installed_torch() if may_have_card() else None)

    def text(page: Page) -> str:
        from estimator.text.machine import machine_text

        return machine_text(page, machine)

    output.show(
        Answer(
            "detect",
            text,
            lambda: _records(machine),
            warnings=here.warnings,
            rows=lambda: [_row(record) for record in _records(machine)],
            more={"notes": machine.notes},
        )
    )
    return 0


def _records(machine: Machine) -> list[dict[str, Any]]:
    return [_record(machine.cpu), *(_record(card) for card in machine.cards)]


def _record(found: FoundCpu | FoundCard) -> dict[str, Any]:
    from hardware_db.part import uncertain_fields

    facts: dict[str, Any] = plain(found.facts)
    device = plain(found.device)
    estimated = [] if found.device is None else list(uncertain_fields(found.device))
    return {"reported": facts, "device": device, "estimated": estimated, "basis": found.basis, "note": found.note}


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record for a table: the figures, which are records themselves, are left to --json."""
    device = record["device"] or {}
    return {**record, "device": {name: value for name, value in device.items() if name != "figures"}}
