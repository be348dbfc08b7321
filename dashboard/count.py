"""The process that counts: `python -m dashboard.count '["llama-2-13b", [{"precision": "bfloat16", ...}]]'`.

Each profile is kept where the command line keeps its own; errors go to stderr, exit code 2.
"""

from __future__ import annotations

import json
import sys

from hardware_db.errors import FlopcastError
from profiles.recall import known, names_of_zoo, profile
from profiles.request import ProfileRequest


def main(text: str) -> int:
    """Count one model in each of the ways asked for.

    Raises
    ------
    SystemExit
        the question is not about a name of the zoo
    """
    model, requests = json.loads(text)
    if model not in names_of_zoo():
        raise SystemExit(f"{model} is no name of the zoo")
    try:
        for request in (ProfileRequest(**each) for each in requests):
            profile(model, request)
            if known(model, request) is None:
                print("The folder of kept profiles cannot be written; see flopcast doctor", file=sys.stderr)
                return 2
    except FlopcastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
