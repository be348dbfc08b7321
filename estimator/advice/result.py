"""The answer of `advise`: one recommendation, what is beside it, and what each change would save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from estimator.advice.carbon import emissions
from estimator.advice.chance import below, in_time

if TYPE_CHECKING:
    from estimator.advice.carbon import Emissions
    from estimator.advice.free_tier import FreePlan
    from estimator.advice.wishes import Wishes
    from estimator.result import Estimate
    from estimator.run import TrainingRun


@dataclass(frozen=True, eq=False)
class Option:
    """One way to run it: the estimate, what it emits, and how likely it keeps each limit that is set."""

    row: Estimate
    emissions: Emissions | None
    chances: dict[str, float]

    @classmethod
    def of(cls, row: Estimate, wishes: Wishes) -> Option:
        """Work out emissions and chances of an estimate that has a time."""
        emitted = emissions(row)
        chances = {}
        if wishes.budget_usd is not None and row.cost is not None:
            chances["budget_usd"] = below(row.cost, wishes.budget_usd)
        if wishes.deadline_s is not None and row.whole is not None:
            chances["deadline_s"] = in_time(row.whole, wishes.deadline_s)
        if wishes.max_co2_kg is not None:
            chances["max_co2_kg"] = below(emitted.co2_kg, wishes.max_co2_kg) if emitted else 0.0
        return cls(row, emitted, chances)

    @property
    def chance(self) -> float:
        """How likely all limits are kept, the least likely of them: what makes a run slow makes it dear as well."""
        return min(self.chances.values(), default=1.0)

    @property
    def co2_kg(self) -> float | None:
        """Middle kilograms of CO2 equivalent; None where the power of the device is unknown."""
        return self.emissions.co2_kg.mid if self.emissions else None

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate in base units, flat, with emissions and chances."""
        emitted = self.emissions
        return self.row.to_dict() | {
            "co2_kg": emitted.co2_kg.mid if emitted else None,
            "co2_kg_low": emitted.co2_kg.low if emitted else None,
            "co2_kg_high": emitted.co2_kg.high if emitted else None,
            "co2_area": emitted.area if emitted else None,
            "chances": dict(self.chances),
        }


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An option beside the recommendation: in what it is better, what speaks against it, how sure the first is."""

    kind: str
    option: Option
    but: str
    chance: float


@dataclass(frozen=True, slots=True)
class Saving:
    """What one change to the recommendation does: seconds, dollars and kilograms, negative where it saves."""

    change: str
    seconds: float
    usd: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class Advice:
    """What to rent.

    Attributes
    ----------
    runs
        what was asked, in order of preference of precision
    wishes
        the limits
    best
        the recommendation; None where nothing keeps the limits
    nearest
        what misses the limits least, where nothing keeps them
    neighbours
        cheaper, faster, greener, safer
    frontier
        the options that no other beats in time, cost and emissions at once, fastest first
    savings
        what each change to the recommendation does
    remedies
        what would make it fit, where nothing does
    free
        notebook services, with calendar days
    laptop
        the estimate of a usual laptop's processor
    considered
        how many combinations were compared, or known to be beaten at their best
    left_out
        device id -> why it cannot run it, or is no option
    refused
        why machines of some kind are left out, such as spot machines for a long run without checkpoints; "" where none
    """

    runs: tuple[TrainingRun, ...]
    wishes: Wishes
    best: Option | None
    nearest: Option | None
    neighbours: tuple[Neighbour, ...]
    frontier: tuple[Option, ...]
    savings: tuple[Saving, ...]
    remedies: tuple[str, ...]
    free: tuple[FreePlan, ...]
    laptop: Estimate | None
    considered: int
    left_out: dict[str, str]
    refused: str = ""

    @property
    def sentence(self) -> str:
        """The recommendation in one sentence."""
        from estimator.text.advice import sentence

        return sentence(self)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why this one."""
        from estimator.text.advice import reasons

        return reasons(self)

    @property
    def risks(self) -> tuple[str, ...]:
        """What may turn out otherwise."""
        from estimator.text.advice import risks

        return risks(self)

    def __repr__(self) -> str:
        from estimator.text.advice import advice_text

        return advice_text(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in base units, as `--json` shows it."""
        shown = self.best or self.nearest
        return {
            "answered": self.best is not None,
            "sentence": self.sentence,
            "recommendation": shown.to_dict() if shown else None,
            "reasons": list(self.reasons),
            "risks": list(self.risks),
            "neighbours": [
                {**n.option.to_dict(), "better": n.kind, "but": n.but, "chance": n.chance} for n in self.neighbours
            ],
            "savings": list(self.savings),
            "remedies": list(self.remedies),
            "frontier": [option.to_dict() for option in self.frontier],
            "free_tiers": [plan.to_dict() for plan in self.free],
            "considered": self.considered,
        }
