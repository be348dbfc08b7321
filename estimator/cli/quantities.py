"""Quantities on the command line: `10B`, `80GB`, `3d`, `$500`, `bf16`, each through the one parser of its kind.

Every function here is a click callback: it gets the text of an option and returns the value in base units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hardware_db.errors import QuantityError, one_line

Callback = Callable[[click.Context, click.Parameter, Any], Any]

SLIP = 1000
"""A number of tokens below this is a forgotten suffix, not a training run."""


def read_as(kind: str) -> Callback:
    """Return the callback that reads an option by `hardware_db.units.parse_<kind>`; its errors name the option."""

    def read(_context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        from hardware_db import units

        if text is None:
            return None
        try:
            return getattr(units, f"parse_{kind}")(text)
        except QuantityError as error:
            raise QuantityError(f"{parameter.opts[0]}: {error}") from error

    return read


def read_tokens(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Read a number of tokens or samples; `--tokens 10` is refused: nobody trains on ten, the suffix was forgotten."""
    number: int | None = read_as("count")(context, parameter, text)
    if number is not None and number < SLIP:
        raise QuantityError(f"--tokens {one_line(text)} is {number} tokens. Did you mean {one_line(text)}B?")
    return number


def read_size(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Read a whole number above zero, with or without a suffix: 512, 4k."""
    number: int | None = read_as("count")(context, parameter, text)
    if number == 0:
        raise QuantityError(
            f"{parameter.opts[0]} {one_line(text)}: give a whole number above zero, for example 256 or 4k"
        )
    return number


def read_integers(_context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Read whole numbers above zero, separated by commas: `1,8,64`; each is kept once."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 19 and int(part) > 0 for part in parts):
        option = parameter.opts[0]
        raise QuantityError(f"{option} {one_line(text)}: give whole numbers above zero, for example {option} 1,8,64")
    return tuple(dict.fromkeys(int(part) for part in parts))


def read_utilisation(_context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Accept a share above 0 and up to 1; a percentage is recognised and named."""
    if value is None or 0 < value <= 1:
        return value
    option = parameter.opts[0]
    if 1 < value <= 100:
        raise QuantityError(f"{option} {value:g} is above 1. Did you mean {value / 100:g}?")
    raise QuantityError(f"{option} {value:g} is no utilisation: give a number above 0 and up to 1")
