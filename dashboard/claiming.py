"""The process that recomputes claims: `python -m dashboard.claiming` prints claims and newcomers' jobs as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from estimator.claims import claims, newcomer_rows
from estimator.cli.output import plain
from hardware_db.errors import FlopcastError


def answer() -> dict[str, Any]:
    """Recompute everything; it depends on nothing that a visitor says."""
    return {"claims": plain(claims()), "newcomers": plain(newcomer_rows())}


def main() -> int:
    """Print the answer; errors go to stderr, exit code 2."""
    try:
        print(json.dumps(answer(), allow_nan=False))
    except FlopcastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
