"""The models on which counters fail, through the command line: the figures are those derived by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from estimator.cli import main

MODELS = """\
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(64, 64, bias=False)

    def forward(self, x):
        heads = self.project(x).unflatten(-1, (4, 16)).transpose(1, 2)
        return functional.scaled_dot_product_attention(heads, heads, heads)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(64, 64, bias=False), nn.ReLU(), nn.Linear(64, 64, bias=False))

    def forward(self, x):
        return checkpoint(self.block, x, use_reentrant=False)


def attention():
    return Attention(), (torch.zeros(2, 40, 64),)


def checkpointed():
    return Checkpointed(), (torch.zeros(80, 64),)


def recurrent():
    return nn.LSTM(64, 64), (torch.zeros(40, 2, 64),)


def frozen():
    model = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(3)))
    model[:2].requires_grad_(False)
    return model, (torch.zeros(80, 64),)
"""
ONE = 2 * 80 * 64 * 64
"""A square layer of 64 with 80 rows."""
PAIRS = 2 * 2 * 40 * 40 * 64
"""One product of attention."""


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("attention", ONE + 2 * PAIRS, ONE + 5 * PAIRS),
        ("checkpointed", 2 * ONE, 3 * ONE + ONE),
        ("recurrent", 8 * ONE, 12 * ONE),
        ("frozen", 3 * ONE, ONE),
    ],
)
def test_matrix_flops(name: str, forward: int, backward: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hard.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = CliRunner().invoke(main, ["profile", f"hard.py:{name}", "--json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    totals = found["matmul_flops"]
    assert (totals["forward"], totals["backward"]) == (forward, backward)
