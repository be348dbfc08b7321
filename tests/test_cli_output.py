"""The forms of an answer: stdout is the answer, stderr is talk, files are whole, exit codes mean something."""

import csv
import io
import json
import os
from datetime import date
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from estimator.cli.group import CommandGroup
from estimator.cli.output import Answer, Output, csv_text, output_options, plain, write_atomically
from hardware_db.errors import UnknownDevice, UsageError

ANSWER = Answer(
    command="toy",
    text=lambda page: f"width {page.width}\n",
    run={"model": "gpt2"},
    assumptions=["no stalls"],
    results=lambda: [
        {"device": "h100-sxm", "cost_usd": 1.5, "parts": {"a": 1}},
        {"device": "l4", "why_not": "too small"},
    ],
    warnings=["prices are 40 days old"],
)


@click.group(cls=CommandGroup)
def group() -> None:
    """Stand in for flopcast."""


@group.command()
@output_options
def answer(output: Output) -> int:
    """Answer."""
    output.show(ANSWER)
    return 0


@group.command()
@output_options
def nothing_fits(output: Output) -> int:
    """Answer no."""
    return 1


def failing(error: BaseException) -> click.Command:
    @output_options
    def raise_it(output: Output) -> int:
        raise error

    return click.command("fail")(raise_it)


def run(*arguments: str):
    return CliRunner().invoke(group, list(arguments))


def run_failing(error: BaseException, *arguments: str):
    outer = click.Group("flopcast", commands={"fail": failing(error)})
    wrapped = CommandGroup("flopcast", commands=outer.commands)
    return CliRunner().invoke(wrapped, ["fail", *arguments])


def test_text_goes_to_stdout_and_warnings_to_stderr():
    result = run("answer")
    assert result.stdout == "width 120\n"
    assert result.stderr == "Warning: prices are 40 days old\n"
    assert result.exit_code == 0


def test_json_is_one_document_and_nothing_else():
    result = run("answer", "--json")
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "schema": 1,
        "command": "toy",
        "run": {"model": "gpt2"},
        "assumptions": ["no stalls"],
        "results": [
            {"device": "h100-sxm", "cost_usd": 1.5, "parts": {"a": 1}},
            {"device": "l4", "why_not": "too small"},
        ],
        "warnings": ["prices are 40 days old"],
    }


def test_csv_has_every_name_once_and_leaves_missing_cells_empty():
    rows = list(csv.DictReader(io.StringIO(run("answer", "--csv").stdout)))
    assert rows == [
        {"device": "h100-sxm", "cost_usd": "1.5", "parts.a": "1", "why_not": ""},
        {"device": "l4", "cost_usd": "", "parts.a": "", "why_not": "too small"},
    ]
    assert csv_text([]) == "\n"
    assert csv_text([{"notes": ["a", "b"], "parts": [{"c": 1}]}]) == 'notes,parts\na; b,"[{""c"": 1}]"\n'


def test_json_and_csv_exclude_each_other():
    result = run("answer", "--json", "--csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: --json and --csv: choose one\n"


def test_quiet_silences_talk_but_not_the_answer():
    result = run("answer", "-q")
    assert (result.stdout, result.stderr) == ("width 120\n", "")


def test_output_file_holds_the_answer(tmp_path):
    path = tmp_path / "answer.json"
    result = run("answer", "--json", "-o", str(path))
    assert result.stdout == ""
    assert result.stderr == f"Saved {path}\n"
    assert json.loads(path.read_text())["command"] == "toy"


def test_output_into_a_missing_folder_is_a_message():
    result = run("answer", "-o", "no/such/folder/x.json")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: -o no/such/folder/x.json cannot be written: No such file or directory\n")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "answer.json"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UsageError, match=r"answer.json cannot be written: No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_file_is_written_to_not_replaced(tmp_path):
    write_atomically(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()


def test_exit_code_one_means_answered_no():
    assert run("nothing-fits").exit_code == 1


def test_a_users_mistake_is_one_message_and_exit_code_two():
    result = run_failing(UnknownDevice("No hardware 'h1000'. Did you mean h100-sxm?"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: No hardware 'h1000'. Did you mean h100-sxm?\n"


def test_an_unexpected_failure_names_debug_and_hides_the_traceback():
    result = run_failing(ZeroDivisionError("division by zero"))
    assert result.exit_code == 2
    assert "unexpected ZeroDivisionError: division by zero" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback():
    result = run_failing(ZeroDivisionError("division by zero"), "--debug")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr


@pytest.mark.parametrize(("package", "extra"), [("torch", "profile"), ("transformers", "huggingface")])
def test_a_missing_package_names_its_extra(package, extra):
    result = run_failing(ModuleNotFoundError(f"No module named '{package}'", name=package))
    assert f"needs {package}" in result.stderr
    assert f"pip install 'flopcast[{extra}]'" in result.stderr


def test_interrupt_is_130():
    result = run_failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_is_no_failure(monkeypatch):
    monkeypatch.setattr("estimator.cli.group._silence_stdout", lambda: None)
    result = run_failing(BrokenPipeError(32, "Broken pipe"))
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["answer", "--nonsense"], ["--nonsense"], ["answr"], ["answer", "surplus"]])
def test_wrong_use_is_two_lines_and_exit_code_two(arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 2
    assert "--help" in result.stderr


def test_plain_knows_numpy_dates_and_missing_figures():
    value = {
        "a": np.float64(2.5),
        "b": date(2026, 11, 2),
        "c": float("nan"),
        "d": float("inf"),
        "e": (np.int64(3), None),
    }
    assert plain(value) == {"a": 2.5, "b": "2026-11-02", "c": None, "d": None, "e": [3, None]}
