"""Two ways to run something side by side, and whether a new answer costs more than an old one may.

A side is an estimate, or the answer that an earlier `flopcast estimate --json` or `flopcast advise --json` saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from estimator.advice.chance import less
from estimator.ranges import Range
from hardware_db.errors import DataError, UsageError

QUANTITIES: Final[Mapping[str, tuple[str, str]]] = {
    "time": ("run_time_s", "s"),
    "cost": ("cost_usd", "USD"),
    "price": ("usd_per_hour", "USD/h"),
    "device-hours": ("device_hours", "h"),
    "energy": ("energy_kwh", "kWh"),
    "memory": ("peak_memory_bytes", "byte"),
}
"""Name of a quantity -> its field in a saved answer, and its unit."""

MOST: Final = 1e30
"""No figure of an answer is as large; infinity and what is no number are not below it."""

BETTER: Final = {"cheaper": "cost", "faster": "time", "greener": "energy"}
"""What is said of a side -> the quantity that is then lower; greener: less energy of the devices."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to run it: its name, and the row as `--json` shows it."""

    name: str
    row: Mapping[str, Any]

    @classmethod
    def saved(cls, path: Path) -> Side:
        """Read the best row of a saved answer.

        Raises
        ------
        DataError
            the file is no answer of `estimate` or `advise`, or one without a result
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            first = document["results"][0]
            row = first.get("recommendation", first) if document["command"] in ("estimate", "advise") else None
        except (OSError, ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
            row = None
        if not isinstance(row, dict) or not _sound(row):
            raise DataError(
                f"{path} is no answer with a run time. Save one: flopcast estimate MODEL --tokens 1B --json -o {path}"
            )
        return cls(path.stem, row)

    @property
    def where(self) -> str:
        """Devices, and whose."""
        of = f", {self.row['provider']}" if self.row.get("provider") else ""
        return f"{self.row['count']}× {self.row['device']}{of}"

    def value(self, quantity: str) -> float | None:
        """Return the middle of a quantity; None where it is unknown."""
        found = self.row.get(QUANTITIES[quantity][0])
        return None if found is None else float(found)

    def spread(self, quantity: str) -> Range | None:
        """Return the range of a quantity; None where it is unknown."""
        name = QUANTITIES[quantity][0]
        ends = [self.row.get(name + end) for end in ("_low", "", "_high")]
        return (
            None if any(each is None for each in ends) else Range(*(float(each) for each in ends if each is not None))
        )


def _sound(row: Mapping[str, Any]) -> bool:
    """Whether a saved row says where it ran, for how long, and has numbers or nothing for every quantity."""
    figures = [row.get(name + end) for name, *_ in QUANTITIES.values() for end in ("_low", "", "_high")]
    numbers = all(each is None or (isinstance(each, int | float) and 0 <= each < MOST) for each in figures)
    return numbers and row.get("run_time_s") is not None and {"count", "device"} <= set(row)


@dataclass(frozen=True, slots=True)
class Difference:
    """One quantity of both sides, and the share by which the second is above the first; None where one is unknown."""

    quantity: str
    unit: str
    left: float | None
    right: float | None

    @property
    def change(self) -> float | None:
        """0.1: the second is 10 % above the first."""
        return self.right / self.left - 1 if self.left and self.right is not None else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, what they differ by, and how likely the first is better: cheaper, faster, greener."""

    left: Side
    right: Side
    differences: tuple[Difference, ...]
    chances: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """How likely the first is better, in one sentence."""
        said = [f"{kind} in {chance:.0%}" for kind, chance in self.chances.items()]
        return f"{self.left.name} is {', '.join(said)} of cases than {self.right.name}." if said else ""


def compare(left: Side, right: Side) -> Comparison:
    """Set two sides beside each other.

    Errors are taken as independent, but not on the same devices: what makes one slower there makes the other slower.
    """
    differences = tuple(
        Difference(name, unit, left.value(name), right.value(name)) for name, (_, unit) in QUANTITIES.items()
    )
    chances = {kind: chance for kind in BETTER if (chance := _chance(left, right, BETTER[kind])) is not None}
    return Comparison(left, right, differences, chances)


def _chance(left: Side, right: Side, quantity: str) -> float | None:
    first, second = left.spread(quantity), right.spread(quantity)
    if first is None or second is None:
        return None
    if all(left.row.get(name) == right.row.get(name) for name in ("device", "count")):
        return 0.5 if first.mid == second.mid else float(first.mid < second.mid)
    return less(first, second)


def exceeded(found: Comparison, limits: Mapping[str, float]) -> tuple[str, ...]:
    """Return the quantities of the second side that are above the first by more than their limit (0.05: 5 %).

    Raises
    ------
    UsageError
        a quantity that is not compared
    DataError
        a quantity that one of the sides does not know
    """
    changes = {each.quantity: each for each in found.differences}
    over = []
    for name, limit in limits.items():
        if name not in changes:
            raise UsageError(f"no quantity {name!r} to limit. Use one of: {', '.join(changes)}")
        change = changes[name].change
        if change is None:
            raise DataError(f"the {name} of {found.left.name} or of {found.right.name} is not known: it cannot be held")
        over += [name] if change > limit + 1e-9 else []
    return tuple(over)
