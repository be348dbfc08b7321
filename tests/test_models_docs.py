"""The table of names in docs/models.md is the list the program has."""

from pathlib import Path

from profiles.models import names

DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"


def test_every_name_is_documented_with_its_parameters_and_source():
    rows = [line.split(" | ") for line in DOCUMENT.read_text().partition("## Names")[2].splitlines() if " | " in line]
    written = {(row[0].strip("| "), row[1], row[4].rstrip(" |")) for row in rows[2:]}
    assert len(rows) == len(names()) + 2
    assert written == {(row.name, f"{row.parameters:,}", row.source) for row in names()}
