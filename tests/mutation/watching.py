"""What a test runs, in itself and in its fixtures: lines of some files, operators whose formula is asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest

from profiles.formulas import registry

Place = tuple[str, int]
"""File and line, or operator and 0."""


@dataclass(eq=False)
class Watcher:
    """Pytest plugin that notes lines of `files`, and operators, while `is_on`.

    Only fixtures and tests are watched: pytest's own steps between them call so much that watching them, too, takes
    several times as long as the tests.
    """

    files: frozenset[str]
    is_on: bool = False
    places: set[Place] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, Any, Any]:
        """Watch what a fixture runs."""
        with self._watching():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Generator[None, Any, Any]:
        """Watch what a test runs."""
        with self._watching():
            return (yield)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        before, formula_of = sys.gettrace(), registry.formula_of

        def noted(operator: str) -> registry.Formula | None:
            self.places.add((operator.removesuffix("_"), 0))
            return formula_of(operator)

        if self.is_on:
            registry.formula_of = noted
            sys.settrace(self._trace)
            threading.settrace(self._trace)
        try:
            yield
        finally:
            if self.is_on:
                registry.formula_of = formula_of
                sys.settrace(before)
                threading.settrace(before)  # type: ignore[arg-type]

    def _trace(self, frame: FrameType, _event: str, _value: object) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        self.places.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace
