"""The registry: a formula is a pure function of one call, found by the operator's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from hardware_db.errors import UsageError
from profiles.formulas.call import Call, Cost
from profiles.formulas.costs import unknown_cost

Formula = Callable[[Call], Cost]
_FORMULAS: dict[str, Formula] = {}


def register_formula(*names: str, replace: bool = False) -> Callable[[Formula], Formula]:
    """Make the decorated function the formula of these operators, all overloads.

    Parameters
    ----------
    names
        Namespace and name of the operators: "aten.mm", "mylib.fancy_product".
    replace
        True to put the formula in the place of one that is there.

    Raises
    ------
    UsageError
        If an operator has a formula already and `replace` is False.
    """

    def register(formula: Formula) -> Formula:
        taken = [name for name in names if name in _FORMULAS]
        if taken and not replace:
            raise UsageError(f"{', '.join(taken)} has a formula; register_formula(..., replace=True) replaces it.")
        _FORMULAS.update(dict.fromkeys(names, formula))
        cost_of.cache_clear()
        return formula

    return register


def formula_of(operator: str) -> Formula | None:
    """Formula of an operator; one that works in place (`add_`) has that of its twin (`add`), as torch names them."""
    formula = _FORMULAS.get(operator)
    if formula is None and operator.endswith("_"):
        return _FORMULAS.get(operator[:-1])
    return formula


@lru_cache(maxsize=65536)
def cost_of(call: Call) -> Cost:
    """Cost of one call; `counted=False` and an estimate where the operator has no formula."""
    return (formula_of(call.operator) or unknown_cost)(call)


def registered() -> tuple[str, ...]:
    """Names of all operators that have a formula."""
    return tuple(sorted(_FORMULAS))
