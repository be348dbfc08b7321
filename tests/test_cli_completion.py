"""The TAB key offers what a command would understand, in a real shell too."""

from __future__ import annotations

import shutil
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

import hardware_db
from estimator.cli import main

NAMED = {"model", "left", "right", "hardware", "provider", "region", "precision", "optimizer", "machine", "vendor"}
"""Parameters that take names out of tables, whatever command they belong to."""


def offered(line: str) -> list[str]:
    *words, typed = line.split(" ")
    return [item.value for item in ShellComplete(main, {}, "flopcast", "_").get_completions(words, typed)]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("est", ["estimate"]),
        ("estimate gpt2-l", ["gpt2-large"]),
        ("estimate GPT2-l", ["gpt2-large"]),
        ("fit gpt2 --device rtx-3090", ["rtx-3090", "rtx-3090-ti"]),
        ("estimate gpt2 --hardware t4,tpu-v5", ["t4,tpu-v5e", "t4,tpu-v5p"]),
        ("advise gpt2 --provider lam", ["lambda"]),
        ("profile gpt2 --precision bf", ["bfloat16"]),
        ("profile gpt2 --optimizer muo", ["muon"]),
        ("plan gpt2 --machine dgx-h1", ["dgx-h100"]),
        ("compare gpt2@tpu-v5", ["gpt2@tpu-v5e", "gpt2@tpu-v5p"]),
        ("claims gpt3-v", ["gpt3-v100"]),
        ("estimate gpt2 --hardware nonsense", []),
    ],
)
def test_names_are_completed(line, names):
    assert offered(line) == names


def test_every_device_is_offered():
    assert set(offered("hardware ")) == {device.id for device in hardware_db.load().devices()}


def test_where_no_model_begins_like_this_there_may_be_a_file():
    (found,) = ShellComplete(main, {}, "flopcast", "_").get_completions(["profile"], "train.p")
    assert (found.value, found.type) == ("train.p", "file")


def test_a_broken_file_of_own_devices_does_not_break_the_prompt(home):
    folder = home / "config" / "flopcast"
    folder.mkdir(parents=True)
    (folder / "devices.toml").write_text("[[device]]\nid = 3\n")
    assert offered("estimate gpt2 --hardware h100") == []
    assert offered("estimate gpt2-l") == ["gpt2-large"]


def commands(command: click.Command, path: str = "flopcast"):
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, f"{path} {name}")
    else:
        yield path, command


def test_no_option_with_names_is_left_out():
    silent = [
        f"{path} {option.name}"
        for path, command in commands(main)
        for option in command.params
        if option.name in NAMED and not isinstance(option.type, click.Choice) and option._custom_shell_complete is None
    ]
    assert silent == []


def test_bash_asks_and_gets_the_names(tmp_path):
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    program = tmp_path / "flopcast"
    program.write_text(f"#!{sys.executable}\nfrom estimator.cli import main\nmain()\n")
    program.chmod(0o755)
    script = """eval "$(_FLOPCAST_COMPLETE=bash_source flopcast)"
COMP_WORDS=(flopcast fit gpt2 --device h100-n); COMP_CWORD=4
_flopcast_completion flopcast h100-n --device; echo "${COMPREPLY[@]}"
"""
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.split() == ["h100-nvl"], done.stderr
