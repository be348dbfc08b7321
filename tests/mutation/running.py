"""Every mutant forked from a process that has collected the tests; those that ran its lines, quick ones first."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant
from tests.mutation.patching import Living, readers
from tests.mutation.watching import Place, Watcher

LONGEST_S = 120
"""Processor seconds after which a mutant hangs where the formula did not: noticed."""


@dataclass(eq=False)
class Runner:
    """Pytest plugin that runs what it collected once for each mutant instead of once."""

    mutants: Iterable[Mutant]
    watcher: Watcher
    told: Callable[[Mutant, bool], None]
    reached: dict[Place, set[int]] = field(default_factory=lambda: defaultdict(set))
    readers: dict[str, frozenset[str]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    living: Living = field(default_factory=lambda: Living((), ()))

    def pytest_configure(self, config: pytest.Config) -> None:
        """Nobody reads how a test failed; to write it out nicely takes longer than the test."""
        config.option.tbstyle = "native"

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Look for one failing example of a property, not for the smallest."""
        settings.register_profile("mutation", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, noting what they reach, then against each mutant."""
        _run(session.items[0], session.items[-1])  # what every test needs is there before the processes part
        self.living = Living.of(self.watcher.files, ("profiles", "estimator", "tests", "test_"))
        for path in self.watcher.files:
            self.readers[path] = _in_child(partial(readers, path), None)
            if not self.readers[path]:
                raise pytest.UsageError(f"No test imports {path}.")
        self.watcher.files = self.watcher.files.union(*self.readers.values())
        broken, self.reached, self.seconds, modules = _in_child(lambda: self._baseline(session), None) or (
            "A test",
            {},
            {},
            (),
        )
        if broken:
            raise pytest.UsageError(f"{broken} fails without any change.")
        for name in modules:  # once, and not in each process again
            with suppress(Exception):
                import_module(name)
        gc.collect()
        gc.freeze()  # a collection in a forked process would copy the memory that it shares
        for mutant in self.mutants:
            self.told(mutant, self._noticed(session, mutant))
        return True

    def _baseline(self, session: pytest.Session) -> Any:
        """Return the test that fails, which tests reach each place, how long each takes, and what they import."""
        self.watcher.is_on = True
        for number, item in enumerate(session.items):
            self.living.forget()
            self.watcher.places.clear()
            start = time.perf_counter()
            _run(item, None)
            self.seconds[number] = time.perf_counter() - start
            for place in (*self.watcher.places, (str(item.path), 0)):
                self.reached[place].add(number)
            if session.testsfailed:
                return item.nodeid, {}, {}, ()
        return None, dict(self.reached), self.seconds, tuple(sys.modules)

    def _noticed(self, session: pytest.Session, mutant: Mutant) -> bool:
        items = [session.items[number] for number in self._order(mutant)]
        return _in_child(lambda: self._fails(session, items, mutant), LONGEST_S) is not False  # None: it died or hung

    def _order(self, mutant: Mutant) -> list[int]:
        """Tests that run the changed lines, quick ones first; for a table those of all that may read it."""
        file = next(path for path in self.readers if path.endswith(f"/{mutant.path}"))
        lines = range(mutant.lines[0], mutant.lines[1] + 1)
        numbers = set[int]()
        for (name, line), some in self.reached.items():
            if (name == file and line in lines) if mutant.in_function else name in self.readers[file]:
                numbers |= some
        return sorted(numbers, key=self.seconds.__getitem__)

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


def _in_child(ask: Callable[[], Any], longest_s: int | None) -> Any:
    """Return what a forked process answers; None if it fails, dies or hangs."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _answer(ask, longest_s, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(said) if said else None


def _answer(ask: Callable[[], Any], longest_s: int | None, write: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.setitimer(signal.ITIMER_PROF, longest_s or 0)
    try:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(pickle.dumps(ask()))
    finally:
        os._exit(0)


def run(runner: Runner, tests: tuple[str, ...]) -> None:
    """Collect these tests, once, and run them against the mutants; raises RuntimeError if they could not run."""
    options = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:terminal",
        "-o",
        "addopts=",
        "--assert=plain",
        "-m",
        "not slow and not browser",
    ]
    code = pytest.main([*tests, *options], plugins=[runner, runner.watcher])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"The tests did not run: {pytest.ExitCode(code).name}")
