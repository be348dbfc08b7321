"""The same question as a command line, so that what a page shows can be had in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

Word = tuple[str, object]
"""An option and its value: True for one that takes none, None for one that is left out."""


def command_line(verb: str, names: Iterable[str], options: Iterable[Word]) -> str:
    """Return a command that a shell takes as it is.

    Examples
    --------
    >>> command_line("estimate", ["gpt2"], [("--tokens", "10B"), ("--region", None), ("--all-offers", True)])
    'flopcast estimate gpt2 --tokens 10B --all-offers'
    >>> command_line("fit", ["-my model.json"], [])
    "flopcast fit './-my model.json'"
    """
    words = ["flopcast", verb, *(f"./{name}" if name.startswith("-") else name for name in names)]
    for option, value in options:
        if value is not None:
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
