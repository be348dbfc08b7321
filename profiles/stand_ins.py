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
from pathlib import Path
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """A module that is not executed before something is asked for that it does not know.

    Parameters
    ----------
    name
        Full name of the module.
    known
        What it can be asked for.
    opens_parts
        Whether modules inside it may be imported alone, which is what it is for if it is a package.

    Raises
    ------
    ModuleNotFoundError
        There is no such module.
    """

    def __init__(self, name: str, known: Mapping[str, Any] | None = None, opens_parts: bool = False) -> None:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        super().__init__(name)
        self._known, self._opens_parts = dict(known or {}), opens_parts
        self.__spec__, self.__file__, self.__package__ = spec, spec.origin, spec.parent
        if spec.submodule_search_locations is not None:
            self.__path__ = list(spec.submodule_search_locations)

    def __getattr__(self, name: str) -> Any:
        if name in (known := self.__dict__.get("_known", {})):
            return known[name]
        if name.startswith("__"):
            raise AttributeError(name)
        if self._opens_parts and self._has_part(name):
            return importlib.import_module(f"{self.__name__}.{name}")
        return getattr(self.real(), name)

    def real(self) -> ModuleType:
        """Give way: import the module itself, once."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
            self._known.clear()
        return importlib.import_module(self.__name__)

    def _has_part(self, name: str) -> bool:
        inside = Path(self.__path__[0], name)
        return inside.is_dir() or inside.with_suffix(".py").is_file()


def compiler() -> StandIn:
    """Torch's compiler where it is told something that only compiling needs."""
    marks = dict.fromkeys(("disable", "assume_constant_result", "allow_in_graph"), _unmarked)
    return StandIn("torch._dynamo", {**marks, "graph_break": lambda *args, **options: None})


def _unmarked(function: Any = None, *args: Any, **options: Any) -> Any:
    return function if function is not None else _unmarked


def symbolic_algebra() -> StandIn:
    """SymPy where it is only asked whether something is of its making: nothing is."""
    return StandIn("sympy", {"Basic": type("Basic", (), {})})


def symbolic_shapes() -> StandIn:
    """Torch's symbolic shapes where all sizes are plain numbers."""
    module = StandIn("torch.fx.experimental.symbolic_shapes")
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
