from collections.abc import Callable

import pytest

from hardware_db.errors import QuantityError
from hardware_db.units import (
    format_bytes,
    format_count,
    format_duration,
    format_flops,
    format_rate,
    format_usd,
    gibibytes,
    parse_bytes,
    parse_count,
    parse_duration_s,
    parse_measure,
    parse_precision,
    parse_usd,
    product_precision,
    to_base,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10B", 10**10),
        ("1.5T", 1_500_000_000_000),
        ("300k", 300_000),
        ("4096", 4096),
        ("1e9", 10**9),
        (" 2 M ", 2_000_000),
    ],
)
def test_counts(text: str, value: int) -> None:
    assert parse_count(text) == value


@pytest.mark.parametrize("text", ["ten", "", "-5", "0", "1.5", "10X", "10 parsecs", "nan", "inf"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("80GB", 80 * 10**9), ("80GiB", 80 * 2**30), ("512 MB", 512 * 10**6), ("1024", 1024), ("1.5 TiB", 1649267441664)],
)
def test_bytes(text: str, value: int) -> None:
    assert parse_bytes(text) == value


def test_bytes_need_a_unit_of_memory() -> None:
    with pytest.raises(QuantityError, match="Units: B, KB"):
        parse_bytes("80 gold")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3d", 259200),
        ("36h", 129600),
        ("45min", 2700),
        ("90s", 90),
        ("2w", 1209600),
        ("1d12h", 129600),
        ("1.5 h", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


def test_a_duration_without_a_unit_asks_which() -> None:
    with pytest.raises(QuantityError, match="3 what\\? Try 3h or 3d"):
        parse_duration_s("3")


@pytest.mark.parametrize("text", ["", "soon", "0h", "3 fortnights"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_duration_s(text)


@pytest.mark.parametrize(("text", "usd"), [("$500", 500), ("1.5k", 1500), ("$2M", 2e6), ("1,240", 1240), (0.35, 0.35)])
def test_dollars(text: str | float, usd: float) -> None:
    assert parse_usd(text) == usd


def test_euros_are_no_dollars() -> None:
    with pytest.raises(QuantityError):
        parse_usd("500 EUR")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bf16", "bfloat16"),
        ("FP32", "float32"),
        ("half", "float16"),
        ("amp", "amp_bfloat16"),
        ("bf16-mixed", "amp_bfloat16"),
        ("bfloat16-mixed", "amp_bfloat16"),
        ("amp_fp16", "amp_float16"),
        ("fp16-mixed", "amp_float16"),
        ("fp8", "float8"),
        ("fp64", "float64"),
        ("tf32", "tf32"),
    ],
)
def test_precisions(text: str, name: str) -> None:
    assert parse_precision(text) == name


def test_an_unknown_precision_lists_close_ones() -> None:
    with pytest.raises(QuantityError, match=r"'bf61' is no precision\. Did you mean .*bf16"):
        parse_precision("bf61")


def test_mixed_precision_multiplies_in_half() -> None:
    assert product_precision("amp_bfloat16") == "bfloat16"
    assert product_precision("float32") == "float32"


def test_units_of_the_tables() -> None:
    assert to_base(989.4, "TFLOP/s") == 989.4e12
    assert to_base(80, "GiB") == 80 * 2**30
    assert to_base(400, "Gb/s") == 50e9
    with pytest.raises(QuantityError, match="'TFLOPS' is no unit"):
        to_base(1, "TFLOPS")


def test_a_measure_must_be_of_its_kind() -> None:
    assert parse_measure("3.35 TB/s", "byte/s") == (3.35, "TB/s")
    with pytest.raises(QuantityError, match="GB/s"):
        parse_measure("80 GB", "byte/s")
    with pytest.raises(QuantityError):
        parse_measure("-1 W", "W")


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (format_count, (124_439_808,), "124 M"),
        (format_count, (10**10,), "10.0 B"),
        (format_count, (999_999,), "1.00 M"),
        (format_count, (12,), "12.0"),
        (format_bytes, (9.02e9,), "9.02 GB"),
        (format_bytes, (0,), "0 B"),
        (format_flops, (7.14e12,), "7.14 TFLOP"),
        (format_flops, (3.14e23,), "314 ZFLOP"),
        (format_rate, (989.4e12,), "989 TFLOP/s"),
        (format_rate, (3.35e12, "B/s"), "3.35 TB/s"),
        (format_duration, (259200,), "3.00 d"),
        (format_duration, (0.0125,), "12.5 ms"),
        (format_duration, (400 * 86400,), "1.10 years"),
        (format_usd, (24.1,), "$24.1"),
        (format_usd, (0.0123,), "$0.0123"),
        (format_usd, (1240,), "$1,240"),
        (format_usd, (98_765,), "$98,800"),
        (format_usd, (4.6e6,), "$4.60 M"),
    ],
)
def test_three_significant_digits(write: Callable[..., str], value: tuple[object, ...], expected: str) -> None:
    assert write(*value) == expected


@pytest.mark.parametrize("write", [format_count, format_bytes, format_flops, format_rate, format_duration, format_usd])
def test_unknown_is_a_dash(write: object) -> None:
    assert callable(write)
    assert write(None) == "-"
    assert write(float("inf")) == "-"


@pytest.mark.parametrize(
    ("unit", "base"),
    [
        ("FLOP/s", 1), ("GFLOP/s", 10**9), ("TFLOP/s", 10**12), ("PFLOP/s", 10**15), ("TOP/s", 10**12), ("MB", 10**6),
        ("GB", 10**9), ("TB", 10**12), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("MB/s", 10**6), ("GB/s", 10**9),
        ("GiB/s", 1_073_741_824), ("TB/s", 10**12), ("Gb/s", 125_000_000), ("MHz", 10**6), ("GHz", 10**9), ("W", 1),
        ("kW", 1000), ("USD", 1), ("1", 1),
    ],
)  # fmt: skip
def test_every_unit_of_the_tables(unit: str, base: int) -> None:
    assert to_base(3, unit) == 3 * base


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        *((parse_count, f"3{suffix}", 3 * 1000**power) for power, suffix in enumerate(["", "k", "M", "B", "T", "Q"])),
        (parse_count, "3G", 3_000_000_000), (parse_count, "1", 1), (parse_usd, "$3Q", 3e15), (parse_usd, "9e35", 9e35),
        *((parse_bytes, f"3{suffix}B", 3 * 1000**power) for power, suffix in enumerate(["", "k", "M", "G", "T"])),
        *((parse_bytes, f"3{suffix}iB", 3 * 1024 ** (power + 1)) for power, suffix in enumerate(["K", "M", "G", "T"])),
        (parse_duration_s, "3s", 3), (parse_duration_s, "3sec", 3), (parse_duration_s, "3m", 180),
        (parse_duration_s, "3min", 180), (parse_duration_s, "3h", 10_800), (parse_duration_s, "3hr", 10_800),
        (parse_duration_s, "3d", 259_200), (parse_duration_s, "3w", 1_814_400), (parse_duration_s, "0.5s", 0.5),
        (parse_duration_s, "9e35s", 9e35),
    ],
)  # fmt: skip
def test_every_suffix(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value


def test_amounts_that_nobody_means() -> None:
    for parse in (parse_usd, parse_bytes, parse_count):
        with pytest.raises(QuantityError, match="more than there is"):
            parse("1e36")
    with pytest.raises(QuantityError):
        parse_duration_s("1e36s")
    with pytest.raises(QuantityError):
        parse_measure("1e18 W", "W")
    assert parse_measure("9e17 W", "W") == (9e17, "W") and parse_measure("0.5 W", "W") == (0.5, "W")


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        *((format_count, (1.5 * 1000**power,), f"1.50 {unit}".strip()) for power, unit in enumerate(["", *"kMBTQ"])),
        *((format_bytes, (1.5 * 1000**power,), f"1.50 {unit}B") for power, unit in enumerate(["", *"kMGTP"])),
        *((format_flops, (1.5 * 1000**power,), f"1.50 {unit}FLOP") for power, unit in enumerate(["", *"kMGTPEZY"])),
        *((format_rate, (1.5 * 1000**power,), f"1.50 {unit}FLOP/s") for power, unit in enumerate(["", *"kMGTPEZY"])),
        (format_duration, (1.5e-6,), "1.50 us"), (format_duration, (1.5e-3,), "1.50 ms"),
        (format_duration, (1.5,), "1.50 s"), (format_duration, (90,), "1.50 min"), (format_duration, (5400,), "1.50 h"),
        (format_duration, (129_600,), "1.50 d"), (format_duration, (1.5 * 31_557_600,), "1.50 years"),
        (format_usd, (1e6,), "$1.00 M"), (format_usd, (1.5e9,), "$1.50 B"),
        (format_usd, (999_000,), "$999,000"), (format_usd, (99.96,), "$100"), (format_usd, (9.996,), "$10.0"),
        (format_usd, (0,), "$0"), (gibibytes, (24 * 2**30,), "24 GiB"), (gibibytes, (25.4 * 2**30,), "25.4 GiB"),
    ],
)  # fmt: skip
def test_every_scale(write: Callable[..., str], value: tuple[object, ...], expected: str) -> None:
    assert write(*value) == expected


def test_three_close_precisions_are_listed() -> None:
    with pytest.raises(QuantityError) as raised:
        parse_precision("float1")
    assert len(str(raised.value).partition("Did you mean ")[2].split(", ")) == 3
