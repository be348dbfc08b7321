"""One mutant in a running process: functions get new code, modules new values, without importing anything again."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import _lru_cache_wrapper
from pathlib import Path
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
    for name in [name for name, each in registry._FORMULAS.items() if _made_by(module, each)]:
        del registry._FORMULAS[name]  # what a mutant registers no more must not be found
    before = dict(vars(module))
    exec(code, vars(module))
    for name, old in before.items():
        new = vars(module).get(name, old)
        for other in _own() if new is not old else ():
            if other is not module and vars(other).get(name) is old:
                setattr(other, name, new)


def _made_by(module: ModuleType, formula: registry.Formula) -> bool:
    code = getattr(formula, "__code__", None)
    return code is not None and code.co_filename == module.__file__


def readers(path: str) -> frozenset[str]:
    """Where what a file makes when it is imported may be read: files that hold any of it, operators it registers."""
    module = next(each for each in _own() if getattr(each, "__file__", None) == path)
    before, source = dict(registry._FORMULAS), Path(path).read_text(encoding="utf-8")
    names = set().union(*map(_names, ast.parse(source).body)) & vars(module).keys()
    own = {name: vars(module)[name] for name in names}
    holders = {str(each.__file__) for each in _own() if _holds(each, module, own)}
    _run_again(module, compile(source, path, "exec"))
    operators = {name.removesuffix("_") for name, each in registry._FORMULAS.items() if before.get(name) is not each}
    return frozenset({path} | holders | operators)


def _names(statement: ast.stmt) -> set[str]:
    """What a statement at the top of a file gives a name to; what it imports is not its own."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    nodes = () if isinstance(statement, (ast.Import, ast.ImportFrom)) else ast.walk(statement)
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _holds(other: ModuleType, module: ModuleType, own: dict[str, object]) -> bool:
    """Whether it imported the module, or any of what is its own."""
    nothing = object()
    return any(each is module or own.get(name, nothing) is each for name, each in vars(other).items())
