"""The process that counts: `python -m dashboard.count` reads a model of the zoo and in which ways to count it.

question  ["llama-2-13b", [{"precision": "bfloat16", ...}]]
answer    the model's name: each profile is kept where the command line keeps its own
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dashboard.replying import reply
from hardware_db.errors import DataError, UnknownModel
from profiles.recall import known, names_of_zoo, profile
from profiles.request import ProfileRequest


def answer(question: list[Any]) -> str:
    """Count one model in each of the ways asked for.

    Raises
    ------
    FlopcastError
        the question is not about a name of the zoo, the model cannot be counted, or the profile cannot be kept
    """
    model, requests = question
    if model not in names_of_zoo():
        raise UnknownModel(f"{model} is no name of the zoo")
    for request in (ProfileRequest(**each) for each in requests):
        profile(model, request)
        if known(model, request) is None:
            raise DataError("The folder of kept profiles cannot be written; see flopcast doctor")
    return str(model)


if __name__ == "__main__":
    sys.exit(reply(lambda: answer(json.load(sys.stdin))))
