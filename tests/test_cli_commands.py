"""The command as a whole: help, version, speed, pipes, and the small commands."""

import json
import os
import socket
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import hardware_db
from estimator.cli import dashboard, main
from estimator.cli.dashboard import server_command
from profiles.models import names

FLOPCAST = [sys.executable, "-m", "estimator"]
WITHOUT_ANSWER = {("dashboard",)}
"""Commands that serve: they print nothing that could be JSON."""


def leaves(group: click.Group, *path: str):
    """Every command that answers, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name), command


LEAVES = [pytest.param(path, command, id=" ".join(path)) for path, command in leaves(main)]


def run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_every_command_says_what_it_does(path, command):
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="flopcast")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: flopcast {' '.join(path)} ")
    assert len(command.help) > 30
    for option in ("--json", "--csv", "--output", "--quiet", "--verbose", "--debug", "--no-color"):
        assert (option in result.stdout) == (path not in WITHOUT_ANSWER)


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_every_option_says_what_it_does(path, command):
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert all(option.help for option in options)


def test_help_lists_the_commands_in_the_order_of_use():
    text = run("--help").stdout
    assert text.index("  profile ") < text.index("  estimate ") < text.index("  hardware ")
    assert run().exit_code == 2


def test_unknown_command_is_corrected():
    result = run("estimat", "gpt2")
    assert result.exit_code == 2
    assert "No such command 'estimat'. Did you mean 'estimate'?" in result.stderr


def test_version_has_the_dates_of_the_data():
    database = hardware_db.load()
    days = sorted(offer.as_of for offer in database.offers())
    text = run("--version").stdout
    assert text.startswith("flopcast 0.1.0 · ")
    assert f"{len(database.devices())} devices" in text
    assert f"prices of {days[0]} to {days[-1]}" in text


def test_models_lists_every_name():
    lines = run("models").stdout.splitlines()
    for model in names():
        assert sum(line.split()[:1] == [model.name] for line in lines) == 1
    records = json.loads(run("models", "--json").stdout)["results"]
    gpt2 = next(record for record in records if record["name"] == "gpt2")
    assert gpt2["parameters"] == 124_439_808


def test_doctor_finds_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = run("doctor", "--json")
    assert result.exit_code == 0
    checks = {check["name"]: check for check in json.loads(result.stdout)["results"]}
    assert checks["python"]["found"].startswith(".".join(map(str, sys.version_info[:3])))
    assert checks["data"]["ok"] is True
    assert str(tmp_path) in checks["cache"]["found"]


def test_doctor_names_what_is_broken(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    result = run("doctor")
    assert result.exit_code == 1
    assert "Broken: cache" in result.stdout
    assert "XDG_CACHE_HOME" in result.stdout


def test_doctor_says_what_to_install(monkeypatch):
    import importlib.metadata

    found = importlib.metadata.version

    def nothing(name: str) -> str:
        if name == "streamlit":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr("importlib.metadata.version", nothing)
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json").stdout)["results"]}
    assert checks["streamlit"]["ok"] is None
    assert "pip install 'flopcast[dashboard]'" in checks["streamlit"]["remedy"]
    assert " ".join(run("doctor").stdout.split()).endswith(
        "streamlit for flopcast dashboard: pip install 'flopcast[dashboard]' Everything that is installed works"
    )


@pytest.mark.parametrize(
    ("words", "recorded"),
    [
        (
            ("estimate", "gpt2", "--tokens", "1B", "--precision", "bf16"),
            "gpt2 in amp_bfloat16 adamw, amp_float16 adamw",
        ),
        (("serve", "gpt2", "--precision", "fp64"), "gpt2 in bfloat16, float16, float32"),
        (("profile", "llama-3-8b", "--optimizer", "sgd"), "llama-3.1-8b, "),
    ],
)
def test_without_torch_what_is_not_recorded_is_answered_with_what_is(words, recorded, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "profiles.definitions", raising=False)
    message = run(*words).stderr
    assert "needs torch, which is not installed" in message
    assert f"pip install 'flopcast[profile]', or ask for what is recorded: {recorded}" in message


def test_dashboard_serves_this_machine_only_and_asks_nothing():
    command = server_command(8502)
    assert command[:3] == [sys.executable, "-m", "dashboard.serving"]
    assert "--server.address=127.0.0.1" in command
    assert "--server.port=8502" in command
    assert "--browser.gatherUsageStats=false" in command
    assert "--server.headless=true" not in command
    assert "--server.headless=true" in server_command(8502, browser=False)


def test_dashboard_on_a_taken_port_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("dashboard", "--port", str(port))
    assert done.exit_code == 2
    assert f"--port {port} cannot be used: address already in use" in done.stderr


def test_dashboard_takes_the_next_free_port(monkeypatch):
    monkeypatch.setattr(dashboard, "_taken", lambda port: "taken" if port < 8503 else "")
    assert "--server.port=8503" in server_command(None)


def test_dashboard_runs_the_server(monkeypatch):
    calls = []
    monkeypatch.setattr("subprocess.call", lambda command: calls.append(command) or 0)
    assert run("dashboard", "--port", "8600").exit_code == 0
    assert calls == [server_command(8600)]


def test_a_reader_that_leaves_early_is_no_failure():
    command = " ".join([*FLOPCAST, "hardware", "--sources", "--limit", "0"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "Error" not in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_no_escape_codes_in_a_pipe():
    done = subprocess.run([*FLOPCAST, "hardware"], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["hardware"], ["models"]])
def test_light_commands_load_nothing_heavy(arguments):
    code = (
        "import sys\nfrom estimator.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'pandas', 'streamlit', 'plotly', 'transformers', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("shell", "word"), [("bash", "1"), ("zsh", "1"), ("fish", "es")])
def test_shell_completion_knows_the_commands(shell, word):
    asked = {"_FLOPCAST_COMPLETE": f"{shell}_complete", "COMP_WORDS": "flopcast es", "COMP_CWORD": word}
    code = "from estimator.cli import main; main(prog_name='flopcast')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **asked})
    assert "estimate" in done.stdout


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("fit", {"--device", "--hardware"}),
        ("plan", {"--device", "--hardware"}),
        ("plan", {"--global-batch-size", "--batch-size"}),
        ("estimate", {"--global-batch-size", "--batch-size"}),
    ],
)
def test_what_one_command_calls_it_the_others_understand(command, names):
    assert any(names <= set(option.opts) for option in main.commands[command].params)
