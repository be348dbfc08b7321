"""Every mutant forked from a process that has collected the tests; those that ran its lines, quick ones first."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant
from tests.mutation.patching import Living

LONGEST_S = 120
"""A mutant that has not ended by then hangs where the formula did not: noticed."""


@dataclass
class Runner:
    """Pytest plugin that runs what it collected once for each mutant instead of once."""

    mutants: Iterable[Mutant]
    paths: tuple[Path, ...]
    told: Callable[[Mutant, bool], None]
    reached: dict[tuple[str, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[int, float] = field(default_factory=dict)
    living: Living = field(default_factory=lambda: Living((), ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Look for one failing example of a property, not for the smallest."""
        settings.register_profile("mutation", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, noting what they reach, then against each mutant."""
        _run(session.items[0], session.items[-1])  # what every test needs is there before the processes part
        self.living = Living.of({str(path) for path in self.paths}, ("profiles", "estimator"))
        self.reached, self.seconds = _in_child(lambda: self._baseline(session))
        for mutant in self.mutants:
            self.told(mutant, self._noticed(session, mutant))
        return True

    def _baseline(self, session: pytest.Session) -> Any:
        for number, item in enumerate(session.items):
            self.living.forget()
            start, lines = time.perf_counter(), set[tuple[str, int]]()
            with _traced({str(path) for path in self.paths}, lines):
                _run(item, None)
            self.seconds[number] = time.perf_counter() - start
            for line in lines:
                self.reached[line].add(number)
            if session.testsfailed:
                raise RuntimeError(f"{item.nodeid} fails without any change")
        return dict(self.reached), self.seconds

    def _noticed(self, session: pytest.Session, mutant: Mutant) -> bool:
        file = next(str(path) for path in self.paths if str(path).endswith(f"/{mutant.path}"))
        lines = range(mutant.lines[0], mutant.lines[1] + 1)
        runs = (self.reached.get((file, line), set()) for line in lines)
        numbers = set().union(*runs) if mutant.in_function else set(self.seconds)  # a table may be read from anywhere
        quick_first = sorted(numbers, key=self.seconds.__getitem__)
        return bool(_in_child(lambda: self._fails(session, [session.items[number] for number in quick_first], mutant)))

    def _fails(self, session: pytest.Session, items: list[pytest.Item], mutant: Mutant) -> bool:
        try:
            self.living.apply(mutant)
        except Exception:  # a module that cannot be imported any more is noticed by whoever imports it
            return True
        self.living.forget()
        for item, following in zip(items, [*items[1:], None], strict=False):
            _run(item, following)
            if session.testsfailed:
                return True
        return False


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


class _traced:
    """Note the lines of some files that run."""

    def __init__(self, files: set[str], lines: set[tuple[str, int]]) -> None:
        self.files, self.lines = files, lines

    def _trace(self, frame: FrameType, event: str, _value: object) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace

    def __enter__(self) -> None:
        sys.settrace(self._trace)
        threading.settrace(self._trace)

    def __exit__(self, *_error: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def _in_child(ask: Callable[[], Any]) -> Any:
    """Return what a forked process answers; True if it dies or hangs."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _answer(ask, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(said) if said else True


def _answer(ask: Callable[[], Any], write: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.alarm(LONGEST_S)
    with os.fdopen(write, "wb") as pipe:
        pipe.write(pickle.dumps(ask()))
    os._exit(0)


def run(runner: Runner, tests: tuple[str, ...]) -> None:
    """Collect these tests, once, and run them against the mutants."""
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-o", "addopts=", "-m", "not slow and not browser"]
    pytest.main([*tests, *options], plugins=[runner])
