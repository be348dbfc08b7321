"""Plans of many devices for the Plan page: the question, its command, and the answer as tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from dashboard import processes
from dashboard.commands import Word, command_line
from dashboard.figures import rounded
from dashboard.processes import Asked
from dashboard.run_state import RunChoice
from estimator.cli.plan import read_counts
from estimator.run import DEFAULT_GLOBAL_BATCH_SIZE
from hardware_db.errors import QuantityError
from profiles.model_profile import ModelProfile

GIB: Final = 2**30
MOST_LETTERS: Final = 200
MOST_COUNTS: Final = 12
MOST_DEVICES: Final = 100_000


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """A run, the device it is to be split over, and how many of them."""

    run: RunChoice
    device: str
    counts: str

    @property
    def batch(self) -> int:
        """Samples of a step."""
        return self.run.batch_size or DEFAULT_GLOBAL_BATCH_SIZE

    def numbers(self) -> list[int]:
        """Return the numbers of devices.

        Raises
        ------
        QuantityError
            they cannot be read, or are more than a page can wait for
        """
        found = read_counts(self.counts[:MOST_LETTERS])
        if len(found) > MOST_COUNTS or found[-1] > MOST_DEVICES:
            raise QuantityError(
                f"Devices {self.counts}: at most {MOST_COUNTS} numbers up to {MOST_DEVICES:,} are planned here; "
                "flopcast plan takes more"
            )
        return found

    def command(self) -> str:
        """Return the same question as a command line."""
        asked: list[Word] = [
            ("--hardware", self.device),
            ("--count", self.counts),
            ("--global-batch-size", self.batch),
            *self.run.model_words(),
        ]
        return command_line("plan", [self.run.named], asked)

    def ask(self, profile: ModelProfile) -> Asked:
        """Have it planned by a process of its own."""
        question = {"profile": profile.to_json(), "device": self.device, "counts": self.numbers(), "batch": self.batch}
        told = f"Planning {profile.model} on {self.counts} {self.device}"
        return processes.ask("dashboard.search", json.dumps(question), told)


def scaling_table(points: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the best plan of each number of devices, or why there is none."""
    return pd.DataFrame([_scaling_row(point) for point in points])


def _scaling_row(point: dict[str, Any]) -> dict[str, Any]:
    plans = point["plans"]
    if not plans:
        return {"devices": point["device_count"], "why_not": point["why_not"]}
    used = rounded(point["device_time_of_best"])
    cost = {"usd": _usd(plans[0]), "machines": _machines(plans[0])}
    return {"devices": point["device_count"], **_plan(plans[0]), "device_time": used, **cost, "why_not": ""}


def _usd(plan: dict[str, Any]) -> float | None:
    """Return what 1,000 steps cost on the cheapest machines that are joined; None where nobody rents so many out."""
    return None if plan["usd_per_step"] is None else rounded(1000 * plan["usd_per_step"])


def _machines(plan: dict[str, Any]) -> str:
    return " ".join(each for each in (plan["provider"], plan["instance"]) if each)


def strategy_table(point: dict[str, Any]) -> pd.DataFrame:
    """Return the plans of one number of devices, the one to take first, with what the others lose, least first."""
    taken, *others = point["plans"]
    ordered = [taken, *sorted(others, key=lambda plan: float(plan["slower"]))]
    return pd.DataFrame(
        [{"split": plan["split"], "slower": rounded(plan["slower"]), **_plan(plan)} for plan in ordered]
    )


def _plan(plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "split": plan["split"],
        "micro_batch": f"{plan['micro_batch_size']} × {plan['gradient_accumulation_steps']}",
        "checkpointing": plan["activation_checkpointing"],
        "step_s": rounded(plan["step_time_s"]),
        "step_range_s": f"{plan['step_time_s_low']:.3g} to {plan['step_time_s_high']:.3g}",
        "mfu": rounded(plan["mfu"]),
        "memory_gib": rounded(plan["peak_memory_bytes"] / GIB),
        "network": rounded(plan["communication_s"] / plan["step_time_s"]),
        "bound": plan["bound"],
    }
