"""The error tree of flopcast; every user mistake is one of these and is shown without a traceback.

FlopcastError
├── UsageError              a question that contradicts itself or misses a part
├── QuantityError           "10 parsecs" is no amount of that kind
├── DataError               a table or file of ours or the user's breaks its schema
├── UnknownDevice           no such name in the hardware database
│   └── AmbiguousDevice     several devices share that name
├── UnknownPrecision        this device publishes no peak for that precision
├── NoPrice                 no offer matches the question
├── PricesError             new prices cannot be fetched or believed; the old ones stand
├── StoreError              the database of this machine or team does not answer as it should
└── ModelError              the model cannot be found, built or run
    ├── UnknownModel        no such name, file, module or factory
    └── MissingExtra        a Python package that this question needs is not installed
"""

from __future__ import annotations

import re

_LONG_WORD = re.compile(r"(\S{100})\S{300,}(\S{40})")
_MOST_LETTERS = 2000


def one_line(text: object) -> str:
    """Return what was given for a message: its words, separated by single blanks."""
    return " ".join(str(text).split())


def _shown(line: str) -> str:
    """Return a line as printable characters, with the middle of endless lines and words left out."""
    if len(line) > _MOST_LETTERS:
        line = f"{line[: _MOST_LETTERS // 2]} ... {line[-_MOST_LETTERS // 4 :]}"
    line = _LONG_WORD.sub(r"\1...\2", line)
    return line if line.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


class FlopcastError(Exception):
    """A question flopcast cannot answer; the message says what is wrong, what was given and what would work.

    What was given may be anything: control characters and halves of characters are written as escapes, so that no
    message can steer a terminal or fail to be printed, and what no line has room for is left out.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        """Keep the message as it can be shown."""
        super().__init__("\n".join(_shown(line) for line in message.split("\n")))


class UsageError(FlopcastError):
    """The question contradicts itself or misses a part."""


class QuantityError(FlopcastError):
    """A text is not an amount of the kind asked for."""


class DataError(FlopcastError):
    """A table or file breaks its schema."""


class UnknownDevice(FlopcastError):
    """No device has this id, name or alias."""


class AmbiguousDevice(UnknownDevice):
    """Several devices share this name."""


class UnknownPrecision(FlopcastError):
    """The device has no published peak for this precision."""


class NoPrice(FlopcastError):
    """No offer matches the question."""


class PricesError(FlopcastError):
    """New prices cannot be fetched or believed; nothing was changed."""


class StoreError(FlopcastError):
    """The database of this machine or team is unreachable, locked, or from a newer version."""


class ModelError(FlopcastError):
    """The model cannot be found, built or run."""


class UnknownModel(ModelError):
    """No model has this name, or its file, module or factory does not exist."""


class MissingExtra(ModelError):
    """A Python package that this question needs is not installed."""
