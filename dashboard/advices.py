"""Advice for the Advise page: the question, its command, and the answer as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pandas as pd

from dashboard import processes
from dashboard.commands import Word, command_line
from dashboard.figures import rounded
from dashboard.limits import Limits
from dashboard.processes import Asked
from dashboard.run_state import Question
from hardware_db import Database
from hardware_db.errors import DataError, NoPrice
from profiles.model_profile import ModelProfile

HOUR_S: Final = 3600.0
UTILISATIONS: Final = tuple(each / 20 for each in range(1, 21))


@dataclass(frozen=True, slots=True)
class AdviceQuestion:
    """A run, where it may take place, and the limits."""

    asked: Question
    limits: Limits
    framework: str | None = None
    spot: bool = False

    def command(self) -> str:
        """Return the same question as a command line."""
        run, market = self.asked.run, self.asked.market
        words: list[Word] = [
            *run.words(),
            ("--budget", _plain(self.limits.budget_usd)),
            ("--deadline", None if self.limits.deadline_s is None else f"{_plain(self.limits.deadline_s)}s"),
            *[word for word in market.words() if word[0] not in ("--pricing", "--all-offers")],
            ("--framework", self.framework),
            ("--spot", self.spot or None),
        ]
        return command_line("advise", [run.named], words)

    def ask(self, profiles: Sequence[ModelProfile]) -> Asked:
        """Have a process of its own advise."""
        market = self.asked.market
        wishes = {
            "budget_usd": self.limits.budget_usd,
            "deadline_s": self.limits.deadline_s,
            "provider": market.provider,
            "region": market.region,
            "devices": market.hardware,
            "counts": market.counts,
            "framework": self.framework,
            "spot": self.spot,
        }
        texts = [profile.to_json() for profile in profiles]
        question = {"run": asdict(self.asked.run), "profiles": texts, "wishes": wishes}
        return processes.ask("dashboard.advising", json.dumps(question), "Comparing all devices, counts and offers")


def _plain(value: float | None) -> str | None:
    return None if value is None else f"{value:.12g}"


def frontier_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the options that no other beats in time, cost and emissions at once."""
    return pd.DataFrame(
        [
            {
                "option": f"{row['count']}× {row['device']}",
                "provider": row["provider"],
                "region": row["region"],
                "run_time_h": rounded(row["run_time_s"] / HOUR_S),
                "cost_usd": rounded(row["cost_usd"]),
                "co2_kg": rounded(row["co2_kg"]),
                "precision": row["precision"],
                "basis": row["basis"],
            }
            for row in rows
        ]
    )


def hourly_costs(device: str, database: Database) -> tuple[pd.DataFrame, float | None, str] | None:
    """Return what an hour of a bought device costs at each utilisation beside rent, where both meet, and the source.

    None where nobody sells or rents it out.
    """
    from estimator.advice.buying import Purchase, buy_or_rent

    try:
        found = [buy_or_rent(database.device(device), database, Purchase(utilisation=each)) for each in UTILISATIONS]
    except (DataError, NoPrice):
        return None
    rows = [
        {"utilisation": at, "own_usd_per_hour": each.own_usd_per_hour, "rent_usd_per_hour": each.rent_usd_per_hour}
        for at, each in zip(UTILISATIONS, found, strict=True)
    ]
    bought = found[0]
    kept = f"kept {bought.purchase.life_years:g} years, sold for {bought.purchase.resale_share:.0%} of the price"
    return pd.DataFrame(rows), bought.break_even_utilisation, f"{bought.price_source}; {kept}"
