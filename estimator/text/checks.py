"""What `flopcast doctor` found, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from estimator.text.notes import notes
from estimator.text.page import Page
from estimator.text.table import Column, Row, table


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `ok` None means: not there, and needed only for what `remedy` says."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


WORDS = {True: "✔", None: "-", False: "✘"}
STYLES = {True: "", None: "dim", False: "bold red"}
COLUMNS = (Column("", align="left"), Column("CHECK", align="left"), Column("FOUND", align="left"))


def check_list(page: Page, checks: Sequence[Check]) -> str:
    """Return one line a check, what to install for what is not there, and the verdict."""
    rows = [Row([WORDS[check.ok], check.name, check.found], style=STYLES[check.ok]) for check in checks]
    absent = [(check.name, check.remedy) for check in checks if check.ok is None]
    broken = [(f"Broken: {check.name}", check.remedy) for check in checks if check.ok is False]
    verdict = notes(broken) if broken else "Everything that is installed works"
    lines = table(COLUMNS, rows, page.width)
    if not absent:
        return page.render(*lines, "", verdict)
    return page.render(*lines, "", notes(absent), "", verdict)
