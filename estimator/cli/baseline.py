"""`--baseline` and `--fail-above`: what a change costs, held against a saved answer, for CI."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli.output import Answer, Output
from estimator.cli.profile_answers import read_limits
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.result import Estimate

NO = 1
"""Exit code of "answered: above the limit"."""

USUAL = {"cost": 0.05}
"""What is held where nothing else is asked for: the cost may rise by 5 %."""


def baseline_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add --baseline and --fail-above; the command receives `baseline`, a file or None, and `limits`."""

    @functools.wraps(command)
    def wrapped(*args: Any, baseline: Path | None, limits: dict[str, float], **parameters: Any) -> int:
        if limits and baseline is None:
            raise UsageError("--fail-above needs --baseline FILE: an answer saved with --json -o FILE")
        return command(*args, gate=None if baseline is None else (baseline, limits or USUAL), **parameters)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def gated(command: str, gate: tuple[Path, Mapping[str, float]], best: Estimate | None, output: Output) -> int:
    """Show the best row beside the saved one; exit code 1 where it is above a limit, or nothing can run it."""
    from estimator.advice.comparison import Side, compare, exceeded
    from estimator.text.comparison import gate_text

    path, limits = gate
    then = Side.saved(path)
    if best is None:
        output.show(Answer(command, lambda _page: f"Nothing can run it any more; {path} could.", lambda: []))
        return NO
    found = compare(then, Side("now", best.to_dict()))
    over = exceeded(found, limits)
    rows = [
        {"quantity": each.quantity, "unit": each.unit, "baseline": each.left, "now": each.right,
         "change": each.change, "limit": limits.get(each.quantity), "exceeded": each.quantity in over}
        for each in found.differences
    ]  # fmt: skip
    output.show(Answer(command, lambda _page: gate_text(found, limits, over), lambda: rows, best.run.to_dict()))
    return NO if over else 0


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--baseline", type=_FILE, metavar="FILE", help="Hold the best row against this answer of --json."),
    click.option("--fail-above", "limits", callback=read_limits, metavar="LIMITS",
                 help="Exit 1 above cost=+5% (default), time=+10% ..."),
)  # fmt: skip
