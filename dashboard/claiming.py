"""The process that recomputes claims: `python -m dashboard.claiming` prints claims and newcomers' jobs as JSON."""

from __future__ import annotations

import sys
from typing import Any

from dashboard.replying import reply
from estimator.claims import claims, newcomer_rows
from estimator.cli.output import plain


def answer() -> dict[str, Any]:
    """Recompute everything; it depends on nothing that a visitor says."""
    return {"claims": plain(claims()), "newcomers": plain(newcomer_rows())}


if __name__ == "__main__":
    sys.exit(reply(answer))
