"""Profiles that are not there yet: counted once, by a process of their own, so that torch never enters the server.

Only names of the zoo are counted: nothing that a visitor sends is executed. What was counted is kept where the command
line keeps its profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from json import dumps
from typing import Final

from dashboard import processes
from dashboard.processes import Asked
from profiles.request import ProfileRequest

MODULE: Final = "dashboard.count"


def possible() -> bool:
    """Whether torch is installed, which counting needs."""
    return find_spec("torch") is not None


def count(model: str, requests: Sequence[ProfileRequest]) -> Asked:
    """Start counting, or return the counting of the same question that runs or has failed."""
    question = dumps([model, [asdict(request) for request in requests]])
    precisions = ", ".join(request.precision for request in requests)
    asked = processes.ask(MODULE, question, f"Counting {model} in {precisions} once; it is kept for the next time")
    if asked.done and asked.error is None:  # kept, and gone since
        processes.forget(MODULE, question)
    return asked
