"""From a name to exactly one device: ids, names and aliases, never a part of a name.

Public tables that match by substring take an L40 for an L4 and an RTX A4000 for an A40. Here a name is put in one
spelling (case, "(R)", hyphens, "80 GB") and then has to be equal to an id, a name or an alias.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hardware_db.errors import AmbiguousDevice, UnknownDevice

#: Words before a model name that people and drivers leave out or put in.
_MAKERS = ("nvidia ", "amd ", "intel ", "google ", "aws ", "apple ", "tesla ", "instinct ")
_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™]", re.IGNORECASE)
_GAPS = re.compile(r"[-_\s]+")
#: More suggestions than these help nobody.
_SUGGESTED = 8
_LONGEST_PATTERN = 200
_MEMORY = re.compile(r"(?<=\d) (?=gi?b\b)")


def spelling(name: str) -> str:
    """Return `name` as names are compared: "NVIDIA A100-SXM4-80GB" is "nvidia a100 sxm4 80gb"."""
    plain = _GAPS.sub(" ", _MARKS.sub("", name)).strip().casefold()
    return _MEMORY.sub("", plain)


def without_maker(spelled: str) -> str:
    """Return a spelled name without leading maker or product-line words: "nvidia tesla t4" as "t4"."""
    for maker in _MAKERS:
        if spelled.startswith(maker):
            return without_maker(spelled.removeprefix(maker))
    return spelled


@dataclass(frozen=True)
class Names:
    """All names of all devices: spelled name to the ids that bear it, as given and without the maker."""

    full: Mapping[str, tuple[str, ...]]
    short: Mapping[str, tuple[str, ...]]
    ids: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Names:
        """Index (name, device id) pairs; a name may belong to several devices, which makes it ambiguous."""
        full: dict[str, dict[str, None]] = {}
        short: dict[str, dict[str, None]] = {}
        ids: dict[str, None] = {}
        for name, device in pairs:
            spelled = spelling(name)
            full.setdefault(spelled, {})[device] = None
            short.setdefault(without_maker(spelled), {})[device] = None
            ids[device] = None
        return cls({k: tuple(v) for k, v in full.items()}, {k: tuple(v) for k, v in short.items()}, tuple(ids))

    def candidates(self, name: str) -> tuple[str, ...]:
        """Return the ids that bear this name: none, one, or several that only memory or units tell apart."""
        spelled = spelling(name)
        return self.full.get(spelled) or self.short.get(without_maker(spelled), ())

    def resolve(self, name: str) -> str:
        """Return the id of the one device with this id, name or alias.

        Raises
        ------
        AmbiguousDevice
            Several devices bear it; the message lists them.
        UnknownDevice
            None does; the message lists close names.
        """
        found = self.candidates(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousDevice(f"{name!r} is {len(found)} devices: {', '.join(found)}. {self._pattern(name, found)}")
        raise UnknownDevice(f"No hardware {name!r}. {self._hint(name)}")

    def match(self, pattern: str) -> tuple[str, ...]:
        """Return the ids that a comma list of names and patterns ("a100-*,tpu-v5e") takes, each once, in its order.

        Raises
        ------
        UnknownDevice
            A name is unknown or a pattern takes nothing.
        """
        found: dict[str, None] = {}
        for item in (part.strip() for part in pattern.split(",")):
            if not item:
                continue
            taken = self._glob(item) if any(c in item for c in "*?[") else (self.resolve(item),)
            found.update(dict.fromkeys(taken))
        if not found:
            raise UnknownDevice("No hardware is named. Names: flopcast hardware")
        return tuple(found)

    def _glob(self, pattern: str) -> tuple[str, ...]:
        fits = len(pattern) <= _LONGEST_PATTERN  # a long row of brackets keeps fnmatch busy for minutes
        taken = tuple(fnmatch.filter(self.ids, pattern.casefold())) if fits else ()
        if not taken:
            raise UnknownDevice(f"No hardware id matches {pattern!r}. Names: flopcast hardware")
        return taken

    def _pattern(self, name: str, found: tuple[str, ...]) -> str:
        pattern = f"{without_maker(spelling(name)).replace(' ', '-')}-*"
        taken = fnmatch.filter(self.ids, pattern)
        if not set(found) <= set(taken):
            return f"Name one of them, or all: {','.join(found)}"
        more = [id for id in taken if id not in found]
        return f"'{pattern}' takes all" + (f", and {', '.join(more)} too" if more else "")

    def _hint(self, name: str) -> str:
        spelled = without_maker(spelling(name))
        alike = self._with_all_words(spelled)
        if len(alike) > 1:
            return f"{len(alike)} are called so in part: {', '.join(alike)}"
        close = alike or difflib.get_close_matches(spelled.replace(" ", "-"), self.ids, n=3, cutoff=0.6)
        if not close:
            aliases = difflib.get_close_matches(spelled, list(self.short), n=3, cutoff=0.75)
            close = list(dict.fromkeys(device for alias in aliases for device in self.short[alias]))[:3]
        return f"Did you mean {', '.join(close)}?" if close else "Names: flopcast hardware"

    def _with_all_words(self, spelled: str) -> list[str]:
        """Return the ids that have every word of a name, if not too many: only ever to suggest, never to resolve."""
        words = set(spelled.split())
        alike = [id for id in self.ids if words and words <= set(id.split("-"))]
        return alike if len(alike) <= _SUGGESTED else []
