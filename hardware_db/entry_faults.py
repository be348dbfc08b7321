"""Faults of a user's own file as sentences: which field, what was given, what would work; all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

#: How many faults a message lists; a file with more has one cause.
SHOWN = 20
Model = TypeVar("Model", bound=BaseModel)

_SAID: Mapping[str, str] = {
    "missing": "is missing",
    "string_type": "is {given}, not a text",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is {given}; it may have small letters, digits and single hyphens",
    "literal_error": "is {given}, none of {expected}",
    "int_type": "is {given}, not a whole number",
    "int_parsing": "is {given}, not a whole number",
    "int_from_float": "is {given}, not a whole number",
    "float_type": "is {given}, not a number",
    "float_parsing": "is {given}, not a number",
    "finite_number": "is {given}, not a finite number",
    "greater_than": "is {given}; it must be above {gt:g}",
    "greater_than_equal": "is {given}; it must be at least {ge:g}",
    "date_type": "is {given}, not a date",
    "date_parsing": "is {given}, not a date",
    "date_from_datetime_parsing": "is {given}, not a date",
    "date_from_datetime_inexact": "is {given}; it must be a day without a time",
    "tuple_type": "is {given}, not a list",
}
"""Kind of fault -> what is said of the field."""


def unreadable(error: Exception) -> str:
    """Return why a file cannot be read, without the decoder's words for a file that is no text."""
    if isinstance(error, UnicodeDecodeError) or "NUL" in str(error):
        return "it is no text in UTF-8, but a binary file or one in another encoding"
    return getattr(error, "strerror", None) or str(error)


def validated(
    model: type[Model], entry: Mapping[str, Any], examples: Mapping[str, str], also: Sequence[str] = ()
) -> tuple[Model | None, list[str]]:
    """Return an entry as the model, or None with a sentence for each fault.

    `examples` says by field what would work, `also` names fields that stand beside those of the model.
    """
    try:
        return model.model_validate(entry), []
    except ValidationError as error:
        names = [*model.model_fields, *also]
        return None, [_sentence(fault, examples, names) for fault in error.errors()]


def listed(origin: str, faults: Sequence[str]) -> str:
    """Return faults as one message: a single one in a line, several below each other."""
    if len(faults) == 1:
        return f"{origin}: {faults[0]}"
    more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    return "\n  ".join([f"{origin} has {len(faults)} mistakes:", *faults[:SHOWN], *more])


def unknown(name: str, known: Iterable[str]) -> str:
    """Return what is said of a name that does not exist: close ones, else all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3)
    return f"Did you mean {', '.join(close)}?" if close else f"There are: {', '.join(known)}"


def _sentence(fault: ErrorDetails, examples: Mapping[str, str], names: Sequence[str]) -> str:
    field = " ".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{field} is no field. {unknown(field, names)}"
    context = {"expected": "", **fault.get("ctx", {})}
    context["expected"] = str(context["expected"]).replace("'", "").replace(" or ", ", ")
    said = _SAID.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    if fault["type"] in _SAID:
        said = said.format(given=_given(fault["input"]), **context)
    example = examples.get(str(fault["loc"][0])) if fault["loc"] else None
    return f"{field} {said}. Try {example}" if example else f"{field} {said}"


def _given(value: object) -> str:
    return str(value) if isinstance(value, date) else repr(value)
