"""One mutant in a running process: functions get new code, modules new values, without importing anything again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from types import CodeType, FunctionType, ModuleType
from typing import Any

from profiles.formulas import registry
from tests.mutation.mutants import Mutant

OWN = ("hardware_db", "profiles", "estimator", "dashboard", "tests", "test_", "formula_calls", "hand_made")


@dataclass(frozen=True)
class Living:
    """What a process holds of some files: their functions, wherever they are kept, and the caches of packages."""

    functions: tuple[FunctionType, ...]
    caches: tuple[Any, ...]

    @classmethod
    def of(cls, files: Collection[str], packages: tuple[str, ...]) -> Living:
        """Look once through everything that lives."""
        every = gc.get_objects()
        functions = tuple(each for each in every if type(each) is FunctionType and each.__code__.co_filename in files)
        caches = (each for each in every if type(each) is _lru_cache_wrapper)
        return cls(functions, tuple(each for each in caches if (each.__module__ or "").startswith(packages)))

    def forget(self) -> None:
        """Empty the caches."""
        for each in self.caches:
            each.cache_clear()

    def apply(self, mutant: Mutant) -> None:
        """Put a mutant in the place of the module it changes."""
        module = next(each for each in _own() if (getattr(each, "__file__", None) or "").endswith(f"/{mutant.path}"))
        code = compile(mutant.tree, module.__file__ or "", "exec")
        if mutant.in_function:
            self._swap(_codes(code))
        else:
            _run_again(module, code)

    def _swap(self, codes: dict[tuple[str, str, int], CodeType]) -> None:
        for each in self.functions:
            own = each.__code__
            new = codes.get((own.co_filename, own.co_qualname, own.co_firstlineno))
            if new is not None:
                each.__code__ = new


def _own() -> list[ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.startswith(OWN)]


def _codes(code: CodeType) -> dict[tuple[str, str, int], CodeType]:
    found = {}
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found[each.co_filename, each.co_qualname, each.co_firstlineno] = each
            found.update(_codes(each))
    return found


def _run_again(module: ModuleType, code: CodeType) -> None:
    """Run a module in its own names, and give what it made to all who had imported the old."""
    registry.register_formula.__kwdefaults__ = {"replace": True}
    before = dict(vars(module))
    exec(code, vars(module))
    for name, old in before.items():
        new = vars(module).get(name, old)
        for other in _own() if new is not old else ():
            if other is not module and vars(other).get(name) is old:
                setattr(other, name, new)
