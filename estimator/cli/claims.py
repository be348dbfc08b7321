"""`flopcast claims`: the field's claims about cost, recomputed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from estimator.cli import completion
from estimator.cli.output import Answer, Output, output_options
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.claims import Claim, NewcomerRow
    from estimator.text.page import Page


@click.command("claims")
@click.argument("name", required=False, shell_complete=completion.claim)
@click.option("--newcomers", is_flag=True, help="The jobs newcomers start with, on the hardware they have, instead.")
@output_options
def command(name: str | None, newcomers: bool, output: Output) -> int:
    """Recompute well-known claims about the cost of training, or the one of this NAME.

    Each with the hardware and prices of then, what flopcast says today, and why they differ.
    """
    from estimator.claims import claims, newcomer_rows

    if newcomers:
        rows = newcomer_rows()
        output.show(Answer("claims", lambda page: _jobs(page, rows), lambda: rows))
        return 0
    found = [claim for claim in claims() if name in (None, claim.key)]
    if not found:
        known = ", ".join(claim.key for claim in claims())
        raise UsageError(f"No claim {name!r}. Claims: {known}")
    output.show(Answer("claims", lambda page: _text(page, found), lambda: found, rows=lambda: list(_rows(found))))
    return 0


def _text(page: Page, found: list[Claim]) -> str:
    from estimator.text.claims import claims_text

    return claims_text(found, page)


def _jobs(page: Page, rows: tuple[NewcomerRow, ...]) -> str:
    from estimator.text.claims import newcomers_text

    return newcomers_text(rows, page)


def _rows(found: list[Claim]) -> list[dict[str, object]]:
    return [
        {"claim": claim.key, "when": when, "what": line.what, "value": line.value, "unit": line.unit, "how": line.how}
        for claim in found
        for when, lines in (("then", claim.then), ("flopcast", claim.now))
        for line in lines
    ]
