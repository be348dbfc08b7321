"""The nearest names to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return " Did you mean a, b?" for up to three close names, or an empty text."""
    near = difflib.get_close_matches(given.lower(), list(known), n=3, cutoff=0.6)
    return f" Did you mean {', '.join(near)}?" if near else ""
