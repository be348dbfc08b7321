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
    """Return one line a check, its remedy after it, and the verdict."""
    rows = [
        Row([WORDS[check.ok], check.name, check.found], note=check.remedy * (check.ok is None), style=STYLES[check.ok])
        for check in checks
    ]
    broken = [(f"Broken: {check.name}", check.remedy) for check in checks if check.ok is False]
    verdict = notes(broken) if broken else "Everything that is installed works"
    return page.render(*table(COLUMNS, rows, page.width), "", verdict)
