"""What the machine does wrong: no home, full disks, closed pipes, odd names and terminals, killed processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hand_made
import pytest
from click.testing import CliRunner

from estimator.cli import main
from profiles.model_profile import ModelProfile

FULL = Path("/dev/full")
FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
PRICE = """\
provider,instance,region,device,device_count,pricing,usd_per_hour,as_of
acme,a,x,t4,1,on_demand,1,2026-11-01
"""
TRAIN = "import torch\ndef make():\n    return torch.nn.Linear(4, 2), torch.zeros(3, 4)\n"
ODD_NAMES = ("with space.json", "größe 中文.json", "two\nlines.json", "-dash.json", "'quote\".json")
full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def flopcast(*arguments: str, changed: dict[str, str | None] | None = None, **streams):
    """Run the command in a process of its own, with variables changed (None: unset)."""
    environment = {**os.environ, **(changed or {})}
    environment = {name: value for name, value in environment.items() if value is not None}
    streams = {"stdout": subprocess.PIPE, **streams}
    command = [sys.executable, "-m", "estimator", *arguments]
    return subprocess.run(
        command, env=environment, stderr=subprocess.PIPE, encoding="utf-8", timeout=300, check=False, **streams
    )


def refused(done, *parts: str) -> None:
    """Hold that a command ended with one message of at most three lines."""
    assert done.returncode == 2, done.stderr
    message = done.stderr[done.stderr.index("Error:") :]
    assert len(message.strip().splitlines()) <= 3 and "Traceback" not in done.stderr
    assert all(part in message for part in parts), message


@pytest.fixture
def folder(tmp_path, monkeypatch):
    hand_made.profile().save(tmp_path / "ten.json")
    (tmp_path / "prices.csv").write_text(PRICE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------------------------------ where we live
@pytest.mark.parametrize("home", ["/dev/null", "/proc", None])
def test_what_only_reads_needs_no_home(home):
    """A file, a folder where even root makes nothing, none at all."""
    changed = {**dict.fromkeys(FOLDERS), "HOME": home}
    done = flopcast("hardware", "t4", changed=changed)
    assert (done.returncode, done.stdout.split()[0]) == (0, "t4"), done.stderr


def test_what_must_be_kept_says_that_there_is_no_place_for_it(folder):
    changed = {**dict.fromkeys(FOLDERS), "HOME": "/dev/null"}
    refused(flopcast("prices", "import", "prices.csv", changed=changed), "/dev/null", "cannot be made")


def test_a_profile_that_cannot_be_cached_is_an_answer_all_the_same(folder, monkeypatch):
    pytest.importorskip("torch")
    (folder / "train.py").write_text(TRAIN)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    done = CliRunner().invoke(main, ["profile", "train.py:make", "--json"])
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    assert result["matmul_flops"]["forward"] == 2 * 3 * 4 * 2


# ---------------------------------------------------------------------------------------------------- where answers go
@full_disk
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_full_disk_behind_stdout_is_said(folder, form):
    with FULL.open("w") as full:
        refused(flopcast("profile", "ten.json", *form, stdout=full), "The answer cannot be written: No space left")


@full_disk
def test_a_full_disk_behind_a_file_is_said(folder):
    refused(flopcast("profile", "ten.json", "--json", "-o", str(FULL)), "-o /dev/full cannot be written", "No space")


def test_a_reader_who_has_seen_enough_is_no_failure(folder):
    command = [sys.executable, "-m", "estimator", "hardware", "--csv", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("id,kind,vendor,name")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize("wrong", ["no/such/folder/x.json", "ten.json/x.json"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_place_that_is_none_is_said_and_nothing_is_left(folder, wrong, form):
    done = CliRunner().invoke(main, ["profile", "ten.json", *form, "-o", wrong])
    assert done.exit_code == 2 and "cannot be written" in done.stderr and wrong in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["prices.csv", "ten.json"]


# ------------------------------------------------------------------------------------------------- letters and widths
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_terminal_that_knows_ascii_alone_gets_an_answer(folder, form):
    changed = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    usual, done = flopcast("profile", "ten.json", *form), flopcast("profile", "ten.json", *form, changed=changed)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", usual.stdout)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_files_are_names(folder, name):
    (folder / "ten.json").rename(folder / name)
    saved = CliRunner().invoke(main, ["profile", f"./{name}", "--json", "-o", f"./out {name}"])
    assert saved.exit_code == 0, saved.output
    assert json.loads((folder / f"out {name}").read_text())["command"] == "profile"


def letters(width: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a page of so many columns says about the whole step, without its spaces."""
    monkeypatch.setenv("COLUMNS", width)
    done = CliRunner().invoke(main, ["profile", "ten.json"])
    assert done.exit_code == 0, done.output
    return "".join(done.stdout.split())


@pytest.mark.parametrize("width", ["1", "10", "20", "40", "1000", "100000", "-5", "wide"])
def test_any_width_of_a_terminal_gets_the_same_figures(folder, width, monkeypatch):
    usual = letters("120", monkeypatch)
    step = usual[usual.index("Step") : usual.index("Memory")]
    assert "GFLOPs" in step and step in letters(width, monkeypatch)


# ------------------------------------------------------------------------------------------- killed, and two at once
KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    from profiles.model_profile import ModelProfile
    small, large = (ModelProfile.load(name) for name in sys.argv[1:3])
    chance = random.Random(9)
    for _ in range(25):
        victim = os.fork()
        if not victim:
            while True:
                for profile in (small, large):
                    profile.save("saved.json")
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        assert ModelProfile.load("saved.json") in (small, large)
    print("whole")
"""


def test_a_profile_is_whole_after_every_kill(folder):
    hand_made.profile(precision="amp_bfloat16").save(folder / "other.json")
    hand_made.profile().save(folder / "saved.json")
    command = [sys.executable, "-c", textwrap.dedent(KILLED), "ten.json", "other.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "whole\n", done.stderr


def test_writers_of_one_file_at_once_leave_one_of_theirs(folder):
    both = [hand_made.profile(), hand_made.profile(precision="amp_bfloat16")]
    place = folder / "saved.json"
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda turn: both[turn % 2].save(place), range(60)))
    assert ModelProfile.load(place) in both
    assert sorted(path.name for path in folder.iterdir()) == ["prices.csv", "saved.json", "ten.json"]


def test_processes_that_answer_into_one_file_leave_one_answer(folder):
    command = [sys.executable, "-m", "estimator", "hardware", "t4", "--csv", "-q", "-o", "t4.csv"]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(300) for process in running] == [0, 0]
    assert (folder / "t4.csv").read_text() == CliRunner().invoke(main, command[3:-2]).stdout
    assert sorted(path.name for path in folder.iterdir()) == ["prices.csv", "t4.csv", "ten.json"]
