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


class FlopcastError(Exception):
    """A question flopcast cannot answer; the message says what is wrong, what was given and what would work."""

    exit_code = 2


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
