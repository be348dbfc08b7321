"""One claim: what was said, what comes out with the prices of then, what flopcast says, and why they differ."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Fact:
    """One published figure that a claim rests on."""

    value: float
    unit: str
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a recomputation: what, the figure in its unit, and how it comes about."""

    what: str
    value: float
    unit: str
    how: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim and its recomputation.

    Attributes
    ----------
    key, title, said
        short name, heading, and what was claimed
    then
        recomputed with the hardware and prices of then
    now
        what flopcast predicts
    verdict
        the difference and why, in a few sentences
    sources
        where the facts are from
    """

    key: str
    title: str
    said: str
    then: tuple[Line, ...]
    now: tuple[Line, ...]
    verdict: str
    sources: tuple[str, ...]


@cache
def facts(claim: str) -> Mapping[str, Fact]:
    """Return the facts of a claim by name, from facts.csv."""
    with files("estimator.claims").joinpath("facts.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["claim"] == claim]
    return {row["name"]: Fact(float(row["value"]), row["unit"], row["source"], row["note"]) for row in rows}


def sources(claim: str) -> tuple[str, ...]:
    """Return where the facts of a claim are from, each once."""
    told = (f"{fact.source}{f' ({fact.note})' if fact.note else ''}" for fact in facts(claim).values())
    return tuple(dict.fromkeys(told))
