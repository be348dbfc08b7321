"""Tables, charts and texts of one answer, made once and kept: visitors and reruns that see the same answer share them.

Nobody changes what is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Concatenate, Final, Generic, ParamSpec, TypeVar, cast

MOST_KEPT: Final = 64
Value = TypeVar("Value")
Made = TypeVar("Made")
Rest = ParamSpec("Rest")


class _Same(Generic[Value]):
    """A value that is equal to itself alone; being a key it lives as long as what was made of it."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def once(make: Callable[Concatenate[Value, Rest], Made]) -> Callable[Concatenate[Value, Rest], Made]:
    """Have a function make its result once for an object and further arguments, the newest of which are kept.

    The object is told apart by identity, so that large answers need not be compared; further arguments by value.

    Examples
    --------
    >>> listed = once(lambda values: list(values))
    >>> answer = (1, 2)
    >>> listed(answer) is listed(answer)
    True
    """

    @lru_cache(maxsize=MOST_KEPT)
    def kept(same: _Same[Value], rest: tuple[Hashable, ...]) -> Made:
        return unpacked(same.value, *rest)

    def found(value: Value, *rest: Hashable) -> Made:
        return kept(_Same(value), rest)

    unpacked = cast(Callable[..., Made], make)
    return cast(Callable[Concatenate[Value, Rest], Made], wraps(make)(found))
