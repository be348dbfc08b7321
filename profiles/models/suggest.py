"""The nearest names to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return " Did you mean a, b?" for up to three close names, or an empty text.

    Case, dashes, dots and underscores do not count; a name that continues what was given comes first.

    >>> did_you_mean("gpt-2", ["gpt2-medium", "bert-base", "gpt2"])
    ' Did you mean gpt2, gpt2-medium?'
    """
    plain: dict[str, str] = {}
    for name in known:  # of two spellings of one name the first is shown
        plain.setdefault(_plain(name), name)
    wanted = _plain(given)
    longer = sorted((name for name in plain if name.startswith(wanted) and wanted), key=len)
    close = difflib.get_close_matches(wanted, list(plain), n=3, cutoff=0.6)
    near = list(dict.fromkeys([*longer, *close]))[:3]
    return f" Did you mean {', '.join(plain[name] for name in near)}?" if near else ""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
