"""Modules that stand in for others that are slow to import, and give way to them where more is asked than they know.

They are for a process of our own alone: see `profiles.lean_imports`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import operator
import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

_ALGEBRA, _SHAPES = "sympy", "torch.fx.experimental.symbolic_shapes"


class StandIn(ModuleType):
    """A module that is not executed before something is asked for that it does not know.

    Parameters
    ----------
    name
        Full name of the module.
    known
        What it can be asked for.
    parts
        Modules inside it that may be imported alone, or all; before any other the module itself is imported.
    built_on
        Modules that it uses when it is executed: where they have stand-ins, these give way with it.

    Raises
    ------
    ModuleNotFoundError
        There is no such module.
    """

    def __init__(
        self,
        name: str,
        known: Mapping[str, Any] | None = None,
        parts: frozenset[str] | Literal["all"] = frozenset(),
        built_on: tuple[str, ...] = (),
    ) -> None:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        super().__init__(name)
        self._known, self._parts, self._built_on = dict(known or {}), parts, built_on
        self.__spec__, self.__file__, self.__package__ = spec, spec.origin, spec.parent
        if spec.submodule_search_locations is not None:
            self.__path__ = list(spec.submodule_search_locations)
        if _PARTS not in sys.meta_path:
            sys.meta_path.insert(0, _PARTS)

    def __getattr__(self, name: str) -> Any:
        if name in (known := self.__dict__.get("_known", {})):
            return known[name]
        if name.startswith("__"):
            raise AttributeError(name)
        if self.holds(name):
            return importlib.import_module(f"{self.__name__}.{name}")
        return getattr(self.real(), name)

    def real(self) -> ModuleType:
        """Give way: import the module itself, once."""
        for name in (*self._built_on, self.__name__):
            if isinstance(module := sys.modules.get(name), StandIn):
                module._leave()
        module = importlib.import_module(self.__name__)
        for part in self._parts if self._parts != "all" else ():
            if (loaded := sys.modules.get(f"{self.__name__}.{part}")) is not None:
                setattr(module, part, loaded)
        return module

    def holds(self, part: str) -> bool:
        """Tell whether a module inside it may be imported without it."""
        return self._has_part(part) if self._parts == "all" else part in self._parts

    def _leave(self) -> None:
        del sys.modules[self.__name__]
        self._known.clear()

    def _has_part(self, name: str) -> bool:
        inside = Path(self.__path__[0], name)
        return inside.is_dir() or inside.with_suffix(".py").is_file()


class _Parts(MetaPathFinder):
    """Has a stand-in give way before a module inside it is imported, which would else meet a package half executed."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, part = fullname.rpartition(".")
        stand_in = sys.modules.get(package)
        if not isinstance(stand_in, StandIn) or stand_in.holds(part):
            return None
        stand_in.real()
        if (loaded := sys.modules.get(fullname)) is None:
            return None  # the package does without it: the other finders know where it is
        spec = ModuleSpec(fullname, _Loaded(loaded))
        vars(loaded)["__spec__"] = spec  # which importlib goes by; by its own it would be executed again
        return spec


class _Loaded(Loader):
    """Hands out a module that came with its package, while it was being looked for."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__spec__"] = self._spec  # some modules refuse attributes


_PARTS = _Parts()


def compiler() -> StandIn:
    """Torch's compiler where it is told something that only compiling needs."""
    marks = dict.fromkeys(("disable", "assume_constant_result", "allow_in_graph"), _unmarked)
    known = {**marks, "graph_break": lambda *args, **options: None}
    parts = frozenset({"_trace_wrapped_higher_order_op"})  # which uses nothing of the compiler
    return StandIn("torch._dynamo", known, parts, (_ALGEBRA, _SHAPES))


def _unmarked(function: Any = None, *args: Any, **options: Any) -> Any:
    return function if function is not None else _unmarked


def symbolic_algebra() -> StandIn:
    """SymPy where it is only asked whether something is of its making: nothing is."""
    return StandIn(_ALGEBRA, {"Basic": type("Basic", (), {})})


def symbolic_shapes() -> StandIn:
    """Torch's symbolic shapes where all sizes are plain numbers."""
    module = StandIn(_SHAPES, built_on=(_ALGEBRA,))
    module._known.update({name: _of_numbers(module, name, answer) for name, answer in _OF_NUMBERS.items()})
    return module


def _of_numbers(module: StandIn, name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    def ask(*numbers: Any) -> Any:
        return answer(*numbers) if all(map(_plain, numbers)) else getattr(module.real(), name)(*numbers)

    return ask


def _plain(number: Any) -> bool:
    if isinstance(number, (tuple, list)):
        return all(map(_plain, number))
    if (shape := getattr(number, "shape", None)) is not None:
        return _plain(tuple(shape))
    return isinstance(number, (bool, int, float))


def _same(value: Any) -> Any:
    return value


_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "expect_true": _same,
    "free_unbacked_symbols": lambda number: frozenset(),
    "guard_or_false": _same,
    "guard_or_true": _same,
    "guard_size_oblivious": _same,
    "guarding_hint_or_throw": _same,
    "has_guarding_hint": lambda number: True,
    "is_nested_int": lambda number: False,
    "statically_known_true": _same,
    "sym_and": lambda *facts: functools.reduce(operator.and_, facts),
    "sym_eq": lambda one, other: one == other if isinstance(one, int) else tuple(one) == tuple(other),
    "sym_or": lambda *facts: functools.reduce(operator.or_, facts),
}
"""What torch.fx.experimental.symbolic_shapes answers for plain numbers, and lists of them (its source, torch 2.13)."""
