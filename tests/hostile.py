"""Inputs that nobody means well with, and what must come of each: an answer or a short refusal, at once."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator

from hypothesis import strategies as st

from hardware_db.errors import FlopcastError

PATIENCE_S = 1.0
"""Processor time that a refusal may take; the longest of 700 took 0.06 s."""
MOST_LETTERS = 2500

ODD_TEXTS = (
    "", " ", "\n", "\0", "-", "--", "-1", "0", "00", "+1", "1e999", "-1e999", "1e-999", "nan", "inf", "Infinity", "½",
    "١٢", "²", "1_", "1__0", "_1", "1,,0", ",", "=", "==", ":", "#", "%s", "{}", "{0}", "../../etc/passwd", "~", "$",
    "$$", "$(id)", "`id`", "None", "null", "true", "9" * 400, "9" * 5000, "1" + "0" * 30 + "B", "1e308T", "x" * 10_000,
    "[" * 5000, "{" * 5000, "(" * 5000, '{"a":' * 5000, "\ud800", "\u202e", "\ufeff1", "🦆", "a\tb\r\nc", "\x1b[31m",
)  # fmt: skip
"""Texts that break parsers: unfinished, endless, foreign digits, infinities, half characters."""

ODD_VALUES = (
    None, True, False, 0, -1, 2**63, 10**18, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x" * 5000,
    [], {}, [[[]]], [None], {"": {}}, "\ud800", "2026-13-40", "\n",
)  # fmt: skip
"""Values that stand in JSON where something else should."""

ODD_BYTES = (
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"', b'""', b"'", b",", b";", b"\n", b"\r", b"\r\n",
    b"=", b"[", b"]", b"{", b"}", b"[[", b"-", b"1e999", b"nan", b"null", b"9" * 5000, b"[" * 5000, b"x" * 140_000,
    b"\x1f\x8b",
)  # fmt: skip
"""What is written into files in the wrong place."""


def texts(*sound: str) -> st.SearchStrategy[str]:
    """Make anything from plain noise to a sound text with something odd before, in or after it."""
    start = st.sampled_from(sound)
    odd = st.sampled_from(ODD_TEXTS) | st.text(max_size=20)
    spliced = st.builds(lambda text, at, more: text[:at] + more + text[at:], start, st.integers(0, 20), odd)
    cut = st.builds(lambda text, at: text[:at], start, st.integers(0, 20))
    return odd | spliced | cut | st.lists(start | odd, max_size=4).map(",".join)


def damaged(sound: bytes) -> st.SearchStrategy[bytes]:
    """Make a file with up to three places cut out, overwritten or added to; or noise."""
    edits = st.tuples(
        st.integers(0, len(sound)), st.integers(0, 30), st.sampled_from(ODD_BYTES) | st.binary(max_size=8)
    )

    def edited(places: list[tuple[int, int, bytes]]) -> bytes:
        content = sound
        for at, length, more in places:
            content = content[:at] + more + content[at + length :]
        return content

    return st.lists(edits, max_size=3).map(edited) | st.binary(max_size=60)


def changed(sound: bytes) -> st.SearchStrategy[bytes]:
    """Make a JSON file in which up to two values are something else."""
    every = list(places(json.loads(sound)))
    edits = st.lists(st.tuples(st.sampled_from(every), st.sampled_from(ODD_VALUES)), min_size=1, max_size=2)

    def edited(wanted: list[tuple[tuple[str | int, ...], object]]) -> bytes:
        document = json.loads(sound)
        for place, value in wanted:
            _put(document, place, value)
        return json.dumps(document).encode("utf-8", "surrogatepass")

    return edits.map(edited)


def refusal(read: Callable[[], object]) -> str | None:
    """Return how an input was refused, or None where it was taken; fail for a long or a late answer."""
    said = None
    begin = time.process_time()
    try:
        read()
    except FlopcastError as error:
        said = str(error)
    took = time.process_time() - begin
    assert took < PATIENCE_S, f"{took:.1f} s"
    if said is not None:
        assert said.strip()
        assert said.count("\n") <= 2 or "mistakes:\n" in said, said[:500]
        assert max(map(len, said.split("\n"))) < MOST_LETTERS, said[:200]
        assert said.replace("\n", "").isprintable(), said[:500]
    return said


def places(node: object, most: int = 3, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield every place in a document; of a list the first few."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield (*place, name)
            yield from places(value, most, (*place, name))
    elif isinstance(node, list):
        for number, value in enumerate(node[:most]):
            yield (*place, number)
            yield from places(value, most, (*place, number))


def _put(document: object, place: tuple[str | int, ...], value: object) -> None:
    """Set a value; a place that an earlier change has taken away stays away."""
    node = document
    for step in place[:-1]:
        try:
            node = node[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(node, dict) or (isinstance(node, list) and isinstance(place[-1], int) and place[-1] < len(node)):
        node[place[-1]] = copy.deepcopy(value)  # type: ignore[index]
