"""What holds of every traced model: counts add up over samples and over modules, phases come in their order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hand_truth_cases import CASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from profiles import ModelProfile, profile_model
from profiles.records import PHASES

WIDTH, LENGTH = 8, 6


class Turned(nn.Module):
    """A layer over channels, for [batch, length, channels]."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels first, and back."""
        found: torch.Tensor = self.layer(x.transpose(1, 2)).transpose(1, 2)
        return found


class Recurrent(nn.Module):
    """A recurrent layer whose states are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        found: torch.Tensor = self.layer(x)[0]
        return found


LAYERS = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "convolution": lambda: Turned(nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=2)),
    "batch norm": lambda: Turned(nn.BatchNorm1d(WIDTH)),
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "encoder": lambda: nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True),
    "recurrent": Recurrent,
    "frozen": lambda: nn.Linear(WIDTH, WIDTH).requires_grad_(False),
    "activation": nn.GELU,
    "dropout": nn.Dropout,
}
chains = st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=4)
batches = st.integers(2, 7)
some = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def step(names: list[str], batch: int, mode: str = "train") -> ModelProfile:
    model = nn.Sequential(*(LAYERS[name]() for name in names), nn.Linear(WIDTH, 1))
    return profile_model(model, torch.zeros(batch, LENGTH, WIDTH), mode=mode)


@some
@given(chains, batches, batches)
def test_products_add_up_over_samples(names, first, second):
    """Nothing in a product of these layers is shared by samples: two halves of a batch cost what the batch costs."""
    apart, together = [step(names, batch).matmul_flops for batch in (first, second)], step(names, first + second)
    assert apart[0] + apart[1] == together.matmul_flops


@some
@given(chains, batches)
def test_every_breakdown_sums_to_the_totals(names, batch):
    profile = step(names, batch)
    for rows in (profile.by_module(1), profile.by_module(9), profile.by_family(), profile.by_operator()):
        assert sum(row.flops.total for row in rows) == profile.flops.total
        assert sum(row.bytes_moved.total for row in rows) == profile.bytes_moved.total
    assert [row.name for row in profile.by_phase()] == list(PHASES)
    assert sum(row.parameters for row in profile.by_module(9)) == profile.parameters


@some
@given(chains, batches)
def test_phases_come_in_their_order(names, batch):
    profile = step(names, batch)
    for phases in ([each.phase for each in profile.operations], [each.phase for each in profile.trace.timeline]):
        assert phases == sorted(phases, key=PHASES.index)
    inferred = step(names, batch, "forward")
    assert {each.phase for each in inferred.operations} == {"forward"}


@some
@given(chains, batches)
def test_no_total_contradicts_another(names, batch):
    profile = step(names, batch)
    assert 0 < profile.model_flops.total <= profile.matmul_flops.total <= profile.flops.total
    assert profile.memory.parameter_bytes == 4 * profile.parameters
    assert profile.memory.gradient_bytes <= 4 * profile.trainable_parameters
    assert profile.peak_memory_bytes == max(each.total_bytes for each in profile.trace.timeline)


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from hand_truth_cases import CASES
from profiles import profile_model
case = next(case for case in CASES if case.name == sys.argv[2])
mode = "forward" if case.backward is None else "train"
print(profile_model(case.build(), case.args(), case.kwargs(), mode=mode).to_json())
"""
SAMPLED = ("attention, trained", "encoder layer, evaluated", "LSTM", "quantised")


def together(name: str) -> str:
    case = next(case for case in CASES if case.name == name)
    mode = "forward" if case.backward is None else "train"
    return profile_model(case.build(), case.args(), case.kwargs(), mode=mode).to_json()


def alone(name: str) -> str:
    command = [sys.executable, "-c", ALONE, str(Path(__file__).parent), name]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.strip()


@pytest.fixture(scope="module")
def everything() -> dict[str, str]:
    """All minimal models profiled one after the other in this process, and then once more, the other way round."""
    found = {case.name: together(case.name) for case in CASES}
    assert {case.name: together(case.name) for case in reversed(CASES)} == found
    return found


@pytest.mark.parametrize("name", SAMPLED)
def test_a_model_counts_the_same_alone_and_after_all_others(name, everything):
    assert alone(name) == everything[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [case.name for case in CASES if case.name not in SAMPLED])
def test_every_model_counts_the_same_alone_and_after_all_others(name, everything):
    assert alone(name) == everything[name]
