"""Which line of the user's code a call comes from, forward and backward."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from profiles import ModelProfile, profile_model

FILE = "test_trace_sources.py"


class Model(nn.Module):
    """Two products on two lines, one of them in torch's own code, and a block that is run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.block = nn.Linear(8, 16, bias=False), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run them."""
        hidden = self.first(x)
        hidden = hidden @ self.second.weight
        return checkpoint(self.again, hidden, use_reentrant=False)

    def again(self, hidden: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        found: torch.Tensor = self.block(hidden.relu())
        return found


def line(text: str) -> str:
    """Name of the line of the model that has this text."""
    lines, first = inspect.getsourcelines(Model)
    return f"{FILE}:{first + next(at for at, each in enumerate(lines) if text in each)}"


def products(profile: ModelProfile) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for each in profile.operations:
        if each.engine == "matrix":
            key = (each.source.rpartition("/")[2], each.phase)
            found[key] = found.get(key, 0) + each.flops * each.count
    return found


def test_products_of_both_passes_belong_to_their_line() -> None:
    found = products(profile_model(Model(), torch.zeros(3, 8)))
    first, second, block = 2 * 3 * 8 * 16, 2 * 3 * 16 * 16, 2 * 3 * 16 * 4
    assert found == {
        (line("self.first(x)"), "forward"): first,
        (line("self.first(x)"), "backward"): first,
        (line("@ self.second"), "forward"): second,
        (line("@ self.second"), "backward"): 2 * second,
        (line("self.block(hidden"), "forward"): block,
        (line("self.block(hidden"), "backward"): 2 * block,  # the block's last layer is not run again
    }


def test_lines_sum_to_the_total_and_the_optimizer_has_none() -> None:
    from profiles.breakdown import by_label

    profile = profile_model(Model(), torch.zeros(3, 8))
    rows = by_label(profile, "source")
    assert sum(row.flops.total for row in rows) == profile.flops.total
    assert {row.name for row in rows if row.flops.optimizer} == {""}


def test_a_model_without_code_of_its_own_has_no_lines() -> None:
    def plain(model: Any) -> set[str]:
        return {operation.source for operation in profile_model(model, torch.zeros(3, 8)).operations}

    assert plain(nn.Sequential(nn.Linear(8, 8), nn.ReLU())) == {""}
