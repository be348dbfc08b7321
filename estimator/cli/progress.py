"""A line on stderr while something takes longer than a second; erased at the end, never in a pipe."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

DELAY_S = 1.0


@contextmanager
def progress(message: str, *, quiet: bool = False) -> Iterator[None]:
    """Show `message` with a spinner while the block runs, if a person is watching."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(message)
    timer = threading.Timer(DELAY_S, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
