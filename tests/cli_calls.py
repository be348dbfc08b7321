"""Commands called in this process, as tests do it: exit codes held, answers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from estimator.cli import main

PRICES = "provider,instance,region,device,device_count,pricing,usd_per_hour,as_of\n"


def run(*arguments: object, code: int = 0) -> Result:
    """Call a command that ends with a code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def results(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """Return the rows that a command answers with."""
    found: list[dict[str, Any]] = json.loads(run(*arguments, "--json", code=code).stdout)["results"]
    return found


def import_prices(folder: Path, *lines: str, code: int = 0) -> Result:
    """Import a price list of these lines."""
    path = folder / "own.csv"
    path.write_text(PRICES + "\n".join(lines) + "\n")
    return run("prices", "import", path, code=code)
