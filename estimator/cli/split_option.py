"""The option that says how devices share a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from estimator.parallel.asked import AskedSplit


def split_option(said: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds `--split` with this help; the command receives an `AskedSplit` or None."""
    return click.option("--split", callback=_read, metavar="SPLIT", help=said)


def _read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> AskedSplit | None:
    from estimator.parallel.asked import read_split

    return None if text is None else read_split(text)
