"""`flopcast profile FILE.py:make`: what the user's code says, how long it takes, formulas of its own."""

import json
import os
import pty
import subprocess
import sys

import cli_calls
import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


SLOW = """\
import time

import torch


def make():
    time.sleep(1.5)
    return torch.nn.Linear(8, 8), torch.zeros(2, 8)
"""


def said_on_a_terminal(*arguments: str) -> str:
    """Run the command with a terminal as its stderr; return all that is drawn there."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "estimator", "profile", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        drawn = b""
        try:
            while part := os.read(terminal, 4096):
                drawn += part
        except OSError:  # Linux: the other end is closed
            pass
        stdout, _ = process.communicate()
    os.close(terminal)
    assert process.returncode == 0 and b"WORK" in stdout
    return drawn.decode()


def test_what_takes_long_is_said_on_a_terminal_and_erased(folder):
    (folder / "slow.py").write_text(SLOW)
    drawn = said_on_a_terminal("slow.py:make")
    assert "Profiling slow.py:make" in drawn
    assert drawn.rstrip().endswith("\x1b[2K") or drawn.rstrip().endswith("\x1b[?25h")
    assert said_on_a_terminal("slow.py:make", "-q") == ""


def test_nothing_is_said_in_a_pipe(folder):
    (folder / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "estimator", "profile", "slow.py:make"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


WARNING = """\
import logging
import warnings

import torch


def make():
    print("made")
    warnings.warn("old weights")
    logging.getLogger("somebody").warning("slow path")
    return torch.nn.Linear(8, 8), torch.zeros(2, 8)
"""


def test_what_a_model_says_is_talk_and_quiet_leaves_its_warnings_out(folder):
    (folder / "talks.py").write_text(WARNING)

    def said(*options):
        command = [sys.executable, "-m", "estimator", "profile", "talks.py:make", "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["command"] == "profile"
        return done.stderr

    assert all(text in said() for text in ("made", "old weights", "slow path"))
    assert set(said("--quiet").splitlines()) == {"made"}


OWN_FORMULA = """\
import torch

from profiles.formulas import Call, Cost, Product, matrix_cost, register_formula


@torch.library.custom_op("shop::fancy", mutates_args=())
def fancy(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left @ right


@fancy.register_fake
def _(left, right):
    return left.new_empty(left.shape[0], right.shape[1])


def _backward(context, gradient):
    left, right = context.saved_tensors
    return fancy(gradient, right.t().contiguous()), fancy(left.t().contiguous(), gradient)


fancy.register_autograd(_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs))

FORMULA


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(16, 4))

    def forward(self, x):
        return fancy(x, self.weight)


def make():
    return Net(), torch.zeros(8, 16, requires_grad=True)
"""
FORMULA = """
@register_formula("shop.fancy")
def fancy_cost(call: Call) -> Cost:
    left, right = call.tensor(0), call.tensor(1)
    return matrix_cost(call, Product(left.shape[0], right.shape[1], left.shape[1]))
"""


def test_a_formula_of_the_users_file_counts(folder):
    """2 x 8 x 16 x 4 forward, and as much for each of the two gradients: the operator runs backward as well."""
    (folder / "shop.py").write_text(OWN_FORMULA.replace("FORMULA", FORMULA))
    (found,) = cli_calls.results("profile", "shop.py:make")
    product = 2 * 8 * 16 * 4
    assert found["matmul_flops"] == {"forward": product, "backward": 2 * product, "optimizer": 0, "total": 3 * product}
    assert found["uncounted"] == []
