"""What the docs show is run: the reference is that of `--help`, every command in README and docs answers."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from estimator.cli import main
from estimator.cli.reference import reference

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PROMPT = "$ flopcast "
NOT_RUN = ("dashboard", "prices refresh", "benchmark", "db import", "prices import")
"""They serve until they are stopped, need the network or a file of the reader's; each has tests of its own."""


def shown_commands():
    """Every `$ flopcast ...` in a code block of a page."""
    for page in PAGES:
        inside = False
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            if line.lstrip().startswith("```"):
                inside = not inside
            elif inside and line.startswith(PROMPT):
                place = f"{page.relative_to(ROOT)}:{number}"
                yield pytest.param(line.removeprefix(PROMPT), id=place)


COMMANDS = list(shown_commands())


def test_the_reference_is_that_of_help():
    message = "docs/cli.md is stale: python -m estimator.cli.reference > docs/cli.md"
    # In a process of its own: click keeps the help option of a command that another test called without its group.
    command = [sys.executable, "-m", "estimator.cli.reference"]
    fresh = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == fresh.stdout, message


def test_every_command_is_in_the_reference():
    text = reference()
    for name, command in main.commands.items():
        assert f"## flopcast {name}\n" in text
        for inner in getattr(command, "commands", {}):
            assert f"## flopcast {name} {inner}\n" in text


@pytest.mark.parametrize("line", COMMANDS)
def test_shown_commands_answer(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if line.startswith(NOT_RUN):
        pytest.skip("has tests of its own")
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0], comments=True)
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (0, 1), result.stderr
    assert result.stdout


def test_the_readme_says_of_accuracy_what_the_page_says():
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## How right it is")[2].partition("## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) == 9
    assert [row for row in rows if row not in page] == [], "README: copy the table of docs/accuracy.md"
    (median,) = re.findall(r"without its source: median error ([\d.]+)%", page)
    assert f"{float(median):.0f} % off in the median" in readme.replace("\n", " ")
