"""What every document has."""

from __future__ import annotations

from typing import TypedDict


class Document(TypedDict):
    """One answer: what was asked is in `run`, what was found in `results`; base units."""

    schema: int
    command: str
    assumptions: list[str]
    warnings: list[str]
