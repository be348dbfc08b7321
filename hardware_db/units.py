"""Quantities as people write them, and back: "10B", "80GB", "3d", "$500", "bf16".

Inside flopcast every number is in base units (FLOP/s, byte, second, USD, watt, hertz); this is the edge where vendors'
units come in and readable ones go out. Nothing here guesses: a text that is not an amount raises `QuantityError`.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import cache

from hardware_db.errors import QuantityError, one_line

#: Units of the data tables: the base unit and the factor to it. GB is 10**9 byte and GiB 2**30, without exception.
UNITS = {
    "FLOP/s": ("FLOP/s", 1.0),
    "GFLOP/s": ("FLOP/s", 1e9),
    "TFLOP/s": ("FLOP/s", 1e12),
    "PFLOP/s": ("FLOP/s", 1e15),
    "TOP/s": ("FLOP/s", 1e12),
    "MB": ("byte", 1e6),
    "GB": ("byte", 1e9),
    "TB": ("byte", 1e12),
    "MiB": ("byte", 2.0**20),
    "GiB": ("byte", 2.0**30),
    "MB/s": ("byte/s", 1e6),
    "GB/s": ("byte/s", 1e9),
    "GiB/s": ("byte/s", 2.0**30),
    "TB/s": ("byte/s", 1e12),
    "Gb/s": ("byte/s", 1e9 / 8),
    "MHz": ("Hz", 1e6),
    "GHz": ("Hz", 1e9),
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "USD": ("USD", 1.0),
    "1": ("1", 1.0),
}

#: One name per precision. `amp_*` is mixed precision: 16-bit products and float32 master weights.
PRECISIONS = (
    "float64",
    "float32",
    "tf32",
    "float16",
    "bfloat16",
    "float8",
    "float4",
    "int8",
    "int4",
    "amp_float16",
    "amp_bfloat16",
)

_PRECISION_ALIASES = {
    "fp64": "float64",
    "double": "float64",
    "fp32": "float32",
    "single": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "fp8": "float8",
    "fp4": "float4",
    "amp": "amp_bfloat16",
    "amp_bf16": "amp_bfloat16",
    "bf16_mixed": "amp_bfloat16",
    "bfloat16_mixed": "amp_bfloat16",
    "amp_fp16": "amp_float16",
    "fp16_mixed": "amp_float16",
    "float16_mixed": "amp_float16",
}

_COUNT = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12, "q": 10**15}
_DECIMAL_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES = {**_DECIMAL_BYTES, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_DAY = 86400.0
_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "d": _DAY, "w": 7 * _DAY}
_DURATIONS = (
    (365.25 * _DAY, "years"),
    (_DAY, "d"),
    (3600.0, "h"),
    (60.0, "min"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "us"),
)
_NUMBER = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)\s*")


def to_base(value: float, unit: str) -> float:
    """Return `value` of a table's unit in the base unit (byte, byte/s, FLOP/s, Hz, W, USD), to 15 digits.

    Raises
    ------
    QuantityError
        The unit is not one the tables may use.
    """
    if unit not in UNITS:
        raise QuantityError(f"{unit!r} is no unit of the data tables. They use: {', '.join(UNITS)}")
    return float(f"{value * UNITS[unit][1]:.15g}")


_ENDLESS = 1e36
"""No amount that anybody asks for is near this in base units; beyond it lie overflows and infinity."""
_MOST = 1e18
"""No figure of a data sheet is near this in any unit."""
_MEASURE = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>\S.*?)\s*")


def parse_measure(text: str, base: str) -> tuple[float, str]:
    """Read a figure with its unit, such as "3.35 TB/s", whose base unit is `base` ("byte/s"): (3.35, "TB/s").

    Raises
    ------
    QuantityError
        It is no number with a unit of that kind.
    """
    units = [name for name, (its_base, _) in UNITS.items() if its_base == base]
    match = _MEASURE.fullmatch(text)
    value = float(match["number"]) if match else math.nan
    if match is None or not 0 < value < _MOST or match["unit"] not in units:
        raise QuantityError(f"{text!r} is not a number above 0 with one of the units {', '.join(units)}")
    return value, match["unit"]


def parse_count(text: str | int | float) -> int:
    """Read a whole, positive number: 1000, "10B", "1.5T", "300_000", "1e9".

    K, M, B (or G), T and Q stand for 10 to the power of 3, 6, 9, 12 and 15.
    """
    number, suffix = _split(str(text), "a number such as 4096, 300k or 10B")
    if suffix.lower() not in _COUNT:
        raise QuantityError(f"{text!r} is no number: {suffix!r} is not one of K, M, B, T, Q. Try 10B")
    value = number * _COUNT[suffix.lower()]
    if not math.isclose(value, round(value), rel_tol=1e-12) or round(value) <= 0:  # 8.3 times 1e9 is no whole float
        raise QuantityError(f"{text!r} is no count: it must be a whole number above 0")
    return round(value)


def parse_bytes(text: str | int | float) -> int:
    """Read an amount of memory in bytes: "80GB" (10**9), "80GiB" (2**30), "512MB"; a bare number is bytes."""
    number, suffix = _split(str(text), "an amount of memory such as 80GB or 16GiB")
    factor = _BYTES.get(suffix.lower(), 1 if suffix == "" else None)
    if factor is None:
        raise QuantityError(f"{text!r} is no amount of memory. Units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")
    return round(number * factor)


def parse_duration_s(text: str) -> float:
    """Read a duration in seconds: "90s", "45min", "36h", "3d", "2w", and sums such as "1d12h".

    Raises
    ------
    QuantityError
        No unit is given (3 what?), or it is none of s, min, h, d, w.
    """
    position, total, text = 0, 0.0, one_line(text)
    while position < len(text):
        match = _NUMBER.match(text, position)
        if match is None:
            raise QuantityError(f"{text!r} is no duration. Try 90s, 45min, 36h, 3d or 1d12h")
        number, unit = match.groups()
        if unit.lower() not in _SECONDS:
            raise QuantityError(f"{text}: {number} what? Try {number}h or {number}d (s, min, h, d, w)")
        total += _float(number) * _SECONDS[unit.lower()]
        position = match.end()
    if not 0 < total < _ENDLESS:
        raise QuantityError(f"{text!r} is no duration. Try 90s, 45min, 36h, 3d or 1d12h")
    return total


def parse_usd(text: str | int | float) -> float:
    """Read an amount of US dollars: "$500", "500", "1.5k", "$2M"."""
    number, suffix = _split(str(text).strip().removeprefix("$"), "an amount of dollars such as $500 or 1.5k")
    if suffix.lower() not in _COUNT:
        raise QuantityError(f"{text!r} is no amount of US dollars. Try $500, 1.5k or $2M")
    return number * _COUNT[suffix.lower()]


def parse_precision(text: str) -> str:
    """Return the one name of a precision: "bf16" gives "bfloat16", "amp" gives "amp_bfloat16".

    Raises
    ------
    QuantityError
        No precision has this name; the message lists close ones.
    """
    key = text.strip().lower().replace("-", "_")
    name = _PRECISION_ALIASES.get(key, key)
    if name in PRECISIONS:
        return name
    close = difflib.get_close_matches(key, [*PRECISIONS, *_PRECISION_ALIASES], n=3)
    hint = f"Did you mean {', '.join(close)}?" if close else f"Precisions: {', '.join(PRECISIONS)}"
    raise QuantityError(f"{text!r} is no precision. {hint}")


def product_precision(precision: str) -> str:
    """Return the precision that the multiply-adds run in: "amp_bfloat16" multiplies in "bfloat16"."""
    return precision.removeprefix("amp_")


@cache
def precision_of_products(name: str) -> str:
    """Return what the multiply-adds of a precision by any of its names run in: "bf16" and "amp" in "bfloat16".

    A name that no precision has comes back as it is.
    """
    try:
        return product_precision(parse_precision(name))
    except QuantityError:
        return name


def format_count(value: float | None) -> str:
    """124439808 as "124 M"; None as a dash."""
    return _scaled(value, ((1e15, "Q"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")))


def format_bytes(value: float | None) -> str:
    """Bytes in decimal units, 9.02e9 as "9.02 GB"; None as a dash."""
    return _scaled(value, ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")))


def gibibytes(value: float | None) -> str:
    """Bytes of a device's memory, 25769803776 as "24 GiB": what vendors sell as 24 GB; None as a dash."""
    return "-" if value is None else f"{value / 2**30:.3g} GiB"


def format_flops(value: float | None) -> str:
    """A number of FLOPs, 7.14e12 as "7.14 TFLOP"; None as a dash."""
    return _scaled(value, tuple((10.0**power, f"{prefix}FLOP") for power, prefix in _PREFIXES))


def format_rate(value: float | None, unit: str = "FLOP/s") -> str:
    """A rate, 9.894e14 as "989 TFLOP/s", 3.35e12 with unit "B/s" as "3.35 TB/s"; None as a dash."""
    return _scaled(value, tuple((10.0**power, prefix + unit) for power, prefix in _PREFIXES))


def format_duration(seconds: float | None) -> str:
    """Seconds as "340 us", "12.5 ms", "45.0 s", "12.3 min", "9.80 h", "3.20 d"; None as a dash."""
    return _scaled(seconds, _DURATIONS)


def format_usd(value: float | None) -> str:
    """US dollars, "$0.0123", "$24.1", "$1,240", "$4.60 M"; None as a dash, never $0 for an unknown price."""
    if value is None or not math.isfinite(value):
        return "-"
    if abs(value) >= 1e6:
        return "$" + _scaled(value, ((1e9, "B"), (1e6, "M")))
    return f"${_significant(value)}"


_PREFIXES = ((24, "Y"), (21, "Z"), (18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k"), (0, ""))


def _split(text: str, wanted: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if match is None:
        negative = _NUMBER.fullmatch(text.strip().removeprefix("-"))
        raise QuantityError(f"{text!r} is {'negative: give' if negative else 'not'} {wanted}")
    number = _float(match[1])
    if number >= _ENDLESS:
        raise QuantityError(f"{text!r} is more than there is: give {wanted}")
    return number, match[2]


def _float(number: str) -> float:
    return float(number.replace(",", "").replace("_", ""))


def _scaled(value: float | None, scale: tuple[tuple[float, str], ...]) -> str:
    """Write three significant digits in the largest unit that leaves a figure of at least 1."""
    if value is None or not math.isfinite(value):
        return "-"
    rounded = float(f"{value:.3g}")
    factor, unit = next((step for step in scale if abs(rounded) >= step[0]), scale[-1])
    return f"{_significant(value / factor)} {unit}".rstrip()


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    digits = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{digits}f}"
