"""Tables: aligned, cut to the page by leaving out columns in order, never a wrapped row."""

import pytest
from rich.cells import cell_len

from estimator.text.page import Page
from estimator.text.table import Column, Row, table

COLUMNS = (
    Column("HARDWARE", align="left"),
    Column("REGION", align="left", drop=1),
    Column("$/H"),
    Column("MEMORY", "GB", drop=2),
)
ROWS = (
    Row(["h100-sxm", "us-east-1", "23.92", "80"]),
    Row(["✔ tpu-v5e", "west", "9.60", "16"]),
    Row(["t4", "us-central1"], note="no bfloat16: --precision float16 to include"),
)


def lines(width: int) -> list[str]:
    return Page(width).render(*table(COLUMNS, ROWS, width)).splitlines()


def test_columns_are_aligned_and_units_stand_under_headers():
    assert lines(80) == [
        "HARDWARE   REGION         $/H  MEMORY",
        "                                   GB",
        "h100-sxm   us-east-1    23.92      80",
        "✔ tpu-v5e  west          9.60      16",
        "t4         us-central1  no bfloat16: --precision float16 to include",
    ]


@pytest.mark.parametrize(
    ("width", "header"),
    [(37, "HARDWARE   REGION         $/H  MEMORY"), (36, "HARDWARE     $/H  MEMORY"), (20, "HARDWARE     $/H")],
)
def test_narrow_pages_lose_columns_in_order(width, header):
    assert lines(width)[0] == header


@pytest.mark.parametrize("width", range(12, 130, 7))
def test_no_row_is_wrapped_or_too_long(width):
    laid_out = lines(width)
    assert sum(line.startswith(("h100", "✔", "t4")) for line in laid_out) == len(ROWS)
    assert max(cell_len(line) for line in laid_out) <= width


def test_no_escape_codes_without_style():
    assert "\x1b" not in Page(80).render(*table(COLUMNS, [Row(["a", "b", "c", "d"], style="bold red")], 80))


def test_bold_where_styled():
    assert "\x1b[1m" in Page(80, styled=True).render(*table(COLUMNS, [Row(["a", "b", "c", "d"], style="bold")], 80))


@pytest.mark.parametrize(("environment", "styled"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_terminal_is_styled_unless_asked_not_to(monkeypatch, environment, styled):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert Page.of_terminal().styled is styled
    assert Page.of_terminal(color=False).styled is False


def test_a_pipe_is_plain_and_120_wide(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert Page.of_terminal() == Page(120, styled=False)
