"""Profiles that are not there yet: counted once, by a process of their own, so that torch never enters the server.

Only names of the zoo are counted: nothing that a visitor sends is executed. One process runs at a time; what it counted
is kept where the command line keeps its profiles.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from json import dumps

from dashboard import processes
from profiles.request import ProfileRequest


@dataclass(slots=True)
class Counting:
    """One model being counted; `error` says why it ended without a profile."""

    model: str
    requests: tuple[ProfileRequest, ...]
    started_s: float = field(default_factory=time.monotonic)
    error: str | None = None
    done: bool = False

    @property
    def seconds(self) -> float:
        """Seconds since it was asked for."""
        return time.monotonic() - self.started_s


_known: dict[tuple[str, tuple[ProfileRequest, ...]], Counting] = {}
_lock = threading.Lock()
_turn = threading.Lock()


def possible() -> bool:
    """Whether torch is installed, which counting needs."""
    return find_spec("torch") is not None


def count(model: str, requests: Sequence[ProfileRequest]) -> Counting:
    """Start counting, or return the counting of the same question that runs or has failed."""
    key = (model, tuple(requests))
    with _lock:
        found = _known.get(key)
        if found is None or (found.done and found.error is None):
            found = _known[key] = Counting(*key)
            threading.Thread(target=_run, args=(found,), daemon=True).start()
        return found


def forget(counting: Counting) -> None:
    """Let a counting that failed be tried anew."""
    with _lock:
        _known.pop((counting.model, counting.requests), None)


def _run(counting: Counting) -> None:
    question = dumps([counting.model, [asdict(request) for request in counting.requests]])
    with _turn:
        _, counting.error = processes.run(
            [sys.executable, "-m", "dashboard.count", question], "", f"Counting {counting.model}"
        )
    counting.done = True
