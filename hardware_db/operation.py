"""What running costs beside the machine: failures, interruptions, storage, traffic, and how hours are billed."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal

from hardware_db.devices import read_basis
from hardware_db.records import Basis
from hardware_db.tables import Row, day, number, records, words

HOURS_PER_DAY = 24.0

Term = Literal[
    "billing_step",
    "billing_minimum",
    "object_storage",
    "block_storage",
    "egress",
    "free_egress",
    "spot_notice",
    "spot_interrupted",
]
#: What a provider's terms say, and in which unit.
TERMS: Mapping[Term, str] = {
    "billing_step": "s",
    "billing_minimum": "s",
    "object_storage": "USD/GB/month",
    "block_storage": "USD/GB/month",
    "egress": "USD/GB",
    "free_egress": "GB/month",
    "spot_notice": "s",
    "spot_interrupted": "share/month",
}


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often a published run or cluster was interrupted: `interruptions` in `days` days of `devices` devices.

    `counted` says what an interruption is there: every unplanned stop of the run, hardware failures only, hosts taken
    out of service. Rates grow with the number of devices: n of them fail n times as often.
    """

    device: str
    cluster: str
    devices: int
    devices_per_host: int
    days: float
    interruptions: float
    counted: str
    as_of: date
    basis: Basis
    sources: tuple[str, ...]
    note: str

    @property
    def device_hours_between(self) -> float:
        """Mean time between interruptions of ONE device [device-hours]; divide by the number of devices."""
        return self.devices * self.days * HOURS_PER_DAY / self.interruptions

    def hours_between(self, devices: int) -> float:
        """Mean time between interruptions of a run on this many devices [h]."""
        return self.device_hours_between / devices


@dataclass(frozen=True, slots=True)
class ProviderTerm:
    """One of a provider's terms; `machines` is a pattern of instances it holds for ("*": all).

    `low` and `high` differ where only a band is published ("5-10 % a month").
    """

    provider: str
    term: Term
    machines: str
    low: float
    high: float
    unit: str
    as_of: date
    basis: Basis
    sources: tuple[str, ...]
    note: str


@cache
def reliabilities() -> tuple[Reliability, ...]:
    """Return all published failure records."""
    return records("reliability.csv", _reliability)


def reliability(device: str) -> Reliability | None:
    """Return the published record of a device (its id) with the most device-hours, or None if there is none."""
    found = [record for record in reliabilities() if record.device == device]
    return max(found, key=lambda record: record.devices * record.days, default=None)


@cache
def provider_terms() -> tuple[ProviderTerm, ...]:
    """Return all terms of all providers."""
    return records("provider_terms.csv", _term)


def provider_term(provider: str, term: Term, instance: str = "") -> ProviderTerm | None:
    """Return a provider's term for a machine, the one with the closest pattern, or None where nothing is published."""
    found = [
        each
        for each in provider_terms()
        if (each.provider, each.term) == (provider, term) and fnmatch.fnmatchcase(instance, each.machines)
    ]
    return max(found, key=lambda each: len(each.machines), default=None)


def _reliability(row: Row) -> Reliability:
    return Reliability(
        device=row["device"],
        cluster=row["cluster"],
        devices=int(row["devices"]),
        devices_per_host=int(row["devices_per_host"]),
        days=float(row["days"]),
        interruptions=float(row["interruptions"]),
        counted=row["counted"],
        as_of=day(row["as_of"]),
        basis=read_basis(row["basis"]),
        sources=words(row["source"]),
        note=row["note"],
    )


def _term(row: Row) -> ProviderTerm:
    term = next((known for known in TERMS if known == row["term"]), None)
    if term is None or TERMS[term] != row["unit"]:
        raise ValueError(f"{row['term']!r} in {row['unit']!r}; known: {dict(TERMS)}")
    low = float(row["low"])
    return ProviderTerm(
        provider=row["provider"],
        term=term,
        machines=row["machines"],
        low=low,
        high=number(row["high"]) or low,
        unit=row["unit"],
        as_of=day(row["as_of"]),
        basis=read_basis(row["basis"]),
        sources=words(row["source"]),
        note=row["note"],
    )
