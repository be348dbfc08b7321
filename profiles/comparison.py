"""Two profiles side by side, and the gate that fails a build when a model has become dearer than its baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from hardware_db.errors import UsageError
from profiles.display import CONVENTION, headline, sheet_html, sheet_text
from profiles.model_profile import ModelProfile
from profiles.sheets import MISSING, Head, Line, Sheet, amount

if TYPE_CHECKING:
    import pandas as pd

Number = int | float

# Name -> (unit, figure of a profile); the names are those of the JSON and of `gate`.
QUANTITIES: dict[str, tuple[str, Callable[[ModelProfile], Number]]] = {
    "parameters": ("", lambda profile: profile.parameters),
    "trainable_parameters": ("", lambda profile: profile.trainable_parameters),
    "flops": ("FLOPs", lambda profile: profile.flops.total),
    "flops.forward": ("FLOPs", lambda profile: profile.flops.forward),
    "flops.backward": ("FLOPs", lambda profile: profile.flops.backward),
    "flops.optimizer": ("FLOPs", lambda profile: profile.flops.optimizer),
    "matmul_flops": ("FLOPs", lambda profile: profile.matmul_flops.total),
    "model_flops": ("FLOPs", lambda profile: profile.model_flops.total),
    "executed_flops": ("FLOPs", lambda profile: profile.executed_flops.total),
    "bytes_moved": ("B", lambda profile: profile.bytes_moved.total),
    "arithmetic_intensity": ("FLOPs/B", lambda profile: profile.arithmetic_intensity),
    "peak_memory_bytes": ("B", lambda profile: profile.peak_memory_bytes),
    "parameter_bytes": ("B", lambda profile: profile.memory.parameter_bytes),
    "gradient_bytes": ("B", lambda profile: _all_gradients(profile)),
    "optimizer_state_bytes": ("B", lambda profile: profile.memory.optimizer_state_bytes),
    "activation_bytes": ("B", lambda profile: profile.memory.activation_bytes),
}
GATE_ALIASES = {"memory": "peak_memory_bytes", "bytes": "bytes_moved"}
SETTINGS = ("mode", "precision", "optimizer", "device", "batch_size", "sequence_length", "image_size")


@dataclass(frozen=True, slots=True)
class Difference:
    """One quantity of two profiles."""

    quantity: str
    unit: str
    left: Number
    right: Number

    @property
    def change(self) -> float:
        """(right - left) / left: 0.02 is 2 % more; infinite where there was nothing before."""
        if self.left == self.right:
            return 0.0
        return (self.right - self.left) / self.left if self.left else math.inf


@dataclass(frozen=True)
class Comparison:
    """Two profiles side by side: the quantities as a whole and the FLOPs of each operator family."""

    left: ModelProfile
    right: ModelProfile
    quantities: tuple[Difference, ...]
    families: tuple[Difference, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for every quantity and operator family."""
        import pandas as pd

        rows = [(each.quantity, each.unit, each.left, each.right, each.change) for each in self._rows]
        return pd.DataFrame(rows, columns=["quantity", "unit", "left", "right", "change"])

    def sheet(self) -> Sheet:
        """Return the table of differences."""
        *lines, last = (Line(each.quantity, 0, _cells(each)) for each in self._rows)
        heads = (Head(""), Head("LEFT"), Head("RIGHT"), Head("CHANGE"))
        return Sheet(heads, tuple(lines), last)

    @property
    def _rows(self) -> tuple[Difference, ...]:
        total = QUANTITIES["flops"][1]
        return (
            *self.quantities,
            *self.families,
            Difference("all families", "FLOPs", total(self.left), total(self.right)),
        )

    def __repr__(self) -> str:
        heads = (f"Left   {headline(self.left)}", f"Right  {headline(self.right)}")
        return "\n".join([*heads, "", sheet_text(self.sheet()), "", CONVENTION])

    def _repr_html_(self) -> str:
        return sheet_html(self.sheet())


def compare(left: ModelProfile, right: ModelProfile) -> Comparison:
    """Set two profiles side by side.

    Raises
    ------
    DataError
        If a profile has no record of memory.
    """
    quantities = tuple(_difference(name, left, right) for name in QUANTITIES)
    before, after = ({row.name: row.flops.total for row in each.by_family()} for each in (left, right))
    names = dict.fromkeys((*before, *after))
    families = (Difference(f"family {name}", "FLOPs", before.get(name, 0), after.get(name, 0)) for name in names)
    return Comparison(left, right, quantities, tuple(each for each in families if each.left or each.right))


def _all_gradients(profile: ModelProfile) -> int:
    """Return the bytes of gradients when most are there; at the peak of the step there may be none."""
    return max((moment.gradient_bytes for moment in profile.trace.timeline), default=0)


def _difference(name: str, left: ModelProfile, right: ModelProfile) -> Difference:
    unit, figure_of = QUANTITIES[name]
    return Difference(name, unit, figure_of(left), figure_of(right))


def _cells(each: Difference) -> tuple[str, str, str]:
    left, right = (_amount(value, each.unit) for value in (each.left, each.right))
    return left, right, percent(each.change)


def _amount(value: Number, unit: str) -> str:
    return amount(value, unit).strip() if math.isfinite(value) else MISSING


def percent(change: float) -> str:
    """Return "+2.0 %", "0 %", or "new" where there was nothing before."""
    if not math.isfinite(change):
        return "new" if change > 0 else MISSING
    return f"{100 * change:+.3g} %" if change else "0 %"


@dataclass(frozen=True, slots=True)
class Violation:
    """A quantity that grew by more than its limit allows; `limit` 0.02 allows 2 %."""

    difference: Difference
    limit: float

    def __str__(self) -> str:
        each = self.difference
        before, after, change = _cells(each)
        return f"{each.quantity}: {before} -> {after} ({change}, allowed {percent(self.limit)})"


def gate(profile: ModelProfile, baseline: ModelProfile, limits: Mapping[str, float]) -> list[Violation]:
    """Check a profile against a baseline; an empty list means that it passes.

    Parameters
    ----------
    profile, baseline
        The model as it is and as it was, in the same mode, size, precision, optimizer and device.
    limits
        Quantity -> largest relative growth: {"flops": 0.02, "memory": 0.05}. Quantities are those of `QUANTITIES`;
        "memory" stands for "peak_memory_bytes", "bytes" for "bytes_moved".

    Raises
    ------
    UsageError
        If a quantity is unknown, a limit is no number, or the profiles were made in different settings.
    """
    _check_settings(profile, baseline)
    checked = [(_gated(name), _limit(name, limit)) for name, limit in limits.items()]
    violations = [Violation(_difference(name, baseline, profile), limit) for name, limit in checked]
    return [each for each in violations if _exceeds(each)]


def gate_report(profile: ModelProfile, baseline: ModelProfile, limits: Mapping[str, float]) -> str:
    """Return the verdict on every limited quantity as a Markdown table, ready for a pull request."""
    failed = {each.difference.quantity for each in gate(profile, baseline, limits)}
    lines = ["| quantity | baseline | now | change | allowed | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for name, limit in limits.items():
        each = _difference(_gated(name), baseline, profile)
        verdict = "**too much**" if each.quantity in failed else "ok"
        lines.append(f"| {each.quantity} | {' | '.join(_cells(each))} | {percent(limit)} | {verdict} |")
    return "\n".join([*lines, "", f"{headline(profile)} ({CONVENTION})".replace("|", "\\|")])


def _gated(name: str) -> str:
    known = GATE_ALIASES.get(name, name)
    if known not in QUANTITIES:
        raise UsageError(f"{name!r} is no quantity of a profile. There are: {', '.join([*GATE_ALIASES, *QUANTITIES])}")
    return known


def _limit(name: str, limit: float) -> float:
    if not math.isfinite(limit):
        raise UsageError(f"The limit for {name} must be a number such as 0.02 (2 %); given: {limit}")
    return limit


def _exceeds(violation: Violation) -> bool:
    """Compare exactly: 2 % more is not over a limit of 0.02."""
    before, after = violation.difference.left, violation.difference.right
    if not (math.isfinite(before) and math.isfinite(after)):
        return math.isfinite(before) != math.isfinite(after)
    return Fraction(after) - Fraction(before) > Fraction(str(violation.limit)) * abs(Fraction(before))


def _check_settings(profile: ModelProfile, baseline: ModelProfile) -> None:
    for setting in SETTINGS:
        now, before = getattr(profile, setting), getattr(baseline, setting)
        if now != before:
            name = setting.replace("_", " ")
            models = "" if profile.model == baseline.model else f" (it is of {baseline.model}, not {profile.model})"
            before, now = ("no" if each is None else each for each in (before, now))
            raise UsageError(f"The baseline has {name} {before}{models}, the profile {now}: compare the same {name}")
