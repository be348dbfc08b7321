"""What the dashboard's own processes do at their end: print an answer as JSON, or say why there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from hardware_db.errors import FlopcastError


def reply(answer: Callable[[], object]) -> int:
    """Print what `answer` returns as one JSON document; return the exit code.

    What was asked wrongly goes to stderr as a sentence, and the error's own code is returned.

    Examples
    --------
    >>> reply(lambda: {"fits": True})
    {"fits": true}
    0
    """
    try:
        print(json.dumps(answer(), allow_nan=False))
    except FlopcastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
