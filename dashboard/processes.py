"""Answers that take longer than a page may: worked out by a process of their own, one at a time, and kept.

The server goes on answering everybody else, and torch never enters it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PATIENCE_S: Final = 600.0
MOST_LETTERS: Final = 600
"""Of an error that a process reports."""
MOST_KEPT: Final = 64
TRY_AGAIN_S: Final = 30.0
"""After so many seconds a question that failed is asked anew."""
_turn = threading.Lock()
_lock = threading.Lock()
_kept: OrderedDict[tuple[str, str], Asked] = OrderedDict()


@dataclass(slots=True)
class Asked:
    """A question to a process: `told` says what it does; `error` why it ended without an answer."""

    told: str
    started_s: float = field(default_factory=time.monotonic)
    answer: str = ""
    error: str | None = None
    done: bool = False

    @property
    def seconds(self) -> float:
        """Seconds since it was asked."""
        return time.monotonic() - self.started_s


def ask(module: str, question: str, told: str) -> Asked:
    """Put a question to `python -m module` on its standard input, or return what was said to the same one before."""
    key = (module, question)
    with _lock:
        found = _kept.get(key)
        if found is None or (found.error is not None and found.seconds > TRY_AGAIN_S):
            found = _kept[key] = Asked(told)
            threading.Thread(target=_run, args=(found, module, question), daemon=True).start()
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return found


def forget(module: str, question: str) -> None:
    """Let a question be asked anew."""
    with _lock:
        _kept.pop((module, question), None)


def _run(asked: Asked, module: str, question: str) -> None:
    with _turn:
        asked.answer, asked.error = run([sys.executable, "-m", module], question, asked.told)
    asked.done = True


def run(
    command: Sequence[str],
    sent: str,
    told: str,
    patience_s: float = PATIENCE_S,
    surroundings: Mapping[str, str] | None = None,
) -> tuple[str, str | None]:
    """Run a command to its end; return what it printed, and why it failed (None where it did not).

    `surroundings` are its environment variables in place of the server's.
    """
    quiet = surroundings or os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, input=sent, capture_output=True, text=True, timeout=patience_s, env=quiet, check=False,
            errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"{told} took more than {patience_s:.0f} s and was ended"
    except OSError as error:
        return "", f"{told} could not be started: {error}"
    if done.returncode:
        return "", done.stderr.strip()[-MOST_LETTERS:] or f"{told} was ended by the system: too much memory or time"
    return done.stdout, None
