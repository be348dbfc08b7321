"""The process that advises: `python -m dashboard.advising` reads a question as JSON and prints the advice as JSON.

question  {"run": fields of a RunChoice, "profiles": JSON texts of its profiles, "wishes": fields of Wishes}
answer    what `flopcast advise --json` has as its result, "beside": the neighbours in words, and "unfit": what was left
          out, with reasons
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dashboard.figures import told
from dashboard.replying import reply
from dashboard.run_state import RunChoice
from estimator.advice import Wishes, advise
from estimator.cli.output import plain
from hardware_db.here import load_here
from profiles.model_profile import ModelProfile


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Advise on a run.

    Raises
    ------
    FlopcastError
        sizes or amounts that cannot be, nothing on offer
    """
    choice = RunChoice(**question["run"])
    runs = [choice.run(ModelProfile.from_json(text)) for text in question["profiles"]]
    wishes = question["wishes"]
    counts = wishes.pop("counts", None)
    asked = Wishes(**wishes, counts=tuple(counts) if counts else None)
    found = advise(runs, asked, database=load_here().database)
    beside = [
        {"better": each.kind, "told": told(each.option.row), "but": each.but, "chance": each.chance}
        for each in found.neighbours
    ]
    return {**plain(found.to_dict()), "beside": beside, "unfit": dict(found.left_out)}


if __name__ == "__main__":
    sys.exit(reply(lambda: answer(json.load(sys.stdin))))
