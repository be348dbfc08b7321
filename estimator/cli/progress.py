"""A line on stderr while something takes longer than a second; erased at the end, never in a pipe."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator.cli.output import Output

DELAY_S = 1.0


@contextmanager
def progress(message: str, output: Output) -> Iterator[None]:
    """Show `message` with a spinner while the block runs, if a person is watching."""
    if output.quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True, no_color=output.color is False).status(message)
    timer = threading.Timer(DELAY_S, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
