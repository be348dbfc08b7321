"""The nearest names to a mistyped one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return " Did you mean a, b?" for up to three close names, or an empty text.

    Case, dashes, dots and underscores do not count; a name that continues what was given comes first, then those that
    begin with the same word.

    >>> did_you_mean("gpt-2", ["gpt2-medium", "bert-base", "gpt2"])
    ' Did you mean gpt2, gpt2-medium?'
    >>> did_you_mean("vit-base", ["t5-base", "vit-l-16", "vit-b-16"])
    ' Did you mean vit-b-16, vit-l-16, t5-base?'
    """
    plain: dict[str, str] = {}
    for name in known:  # of two spellings of one name the first is shown
        plain.setdefault(_plain(name), name)
    wanted = _plain(given)
    longer = sorted((name for name in plain if name.startswith(wanted) and wanted), key=len)
    kin = [name for name in plain if _first_word(plain[name]) == _first_word(given)]
    kin = difflib.get_close_matches(wanted, kin, n=3, cutoff=0.4)
    close = difflib.get_close_matches(wanted, list(plain), n=3, cutoff=0.6)
    near = list(dict.fromkeys([*longer, *kin, *close]))[:3]
    return f" Did you mean {', '.join(plain[name] for name in near)}?" if near else ""


def _first_word(name: str) -> str:
    return re.split(r"[^a-z0-9]", name.lower(), maxsplit=1)[0]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
