"""Three counts of one forward pass: where they agree, and why they do not."""

from __future__ import annotations

import sys

import pytest
import torch
from hand_truth_modules import Apply, attention
from torch import nn

from profiles.cross_check import CrossCheck, CrossCheckRow, cross_check
from profiles.models import resolve
from profiles.request import ProfileRequest


def row(check: CrossCheck, family: str) -> CrossCheckRow:
    (found,) = [row for row in check.rows if row.family == family]
    return found


def network() -> nn.Module:
    features = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(8, 10))


def test_all_three_agree_on_convolutions_and_linear_layers() -> None:
    check = cross_check(network(), (torch.randn(2, 3, 32, 32),))
    assert row(check, "convolution").agrees and row(check, "matmul").agrees
    assert row(check, "convolution").flopcast == 2 * (2 * 8 * 30 * 30) * 27
    assert row(check, "matmul").flopcast == 2 * 2 * 8 * 10
    assert check.total.agrees and check.total.flopcast == 2 * (2 * 8 * 30 * 30) * 27 + 2 * 2 * 8 * 10
    assert row(check, "convolution").reason == ""


def test_vector_work_is_a_dash_where_it_is_not_counted() -> None:
    found = row(cross_check(network(), (torch.randn(2, 3, 32, 32),)), "activation")
    assert (found.fvcore_x2, found.flop_counter_mode) == (None, None)
    assert found.flopcast == 2 * 8 * 30 * 30
    assert found.reason == "vector work: counted by flopcast alone"


def test_fvcore_has_no_handle_for_fused_attention() -> None:
    heads = tuple(torch.randn(1, 12, 64, 64) for _ in range(3))
    found = row(cross_check(Apply(attention), heads), "attention")
    assert found.flopcast == found.flop_counter_mode == 2 * 2 * 12 * 64 * 64 * 64
    assert found.fvcore_x2 is None
    assert found.reason == "fvcore has no handle for scaled_dot_product_attention (1 call)"


def test_recurrent_layers_are_told_from_plain_products() -> None:
    check = cross_check(nn.LSTM(64, 128), (torch.randn(8, 2, 64),))
    found = row(check, "rnn")
    assert found.flopcast == found.flop_counter_mode == 2 * 16 * 4 * 128 * (64 + 128)
    assert "fvcore has no handle for lstm (1 call)" in found.reason
    assert check.total.fvcore_x2 == 0


def test_attention_on_the_cpu_is_counted_by_the_formula_of_its_twin() -> None:
    class ReadsValues(nn.Module):
        def forward(self, query: torch.Tensor, flag: torch.Tensor) -> torch.Tensor:
            return attention(query, query, query) if flag.item() else query

    found = cross_check(ReadsValues(), (torch.randn(1, 2, 8, 16), torch.tensor(1)))
    assert row(found, "attention").flop_counter_mode == row(found, "attention").flopcast == 2 * 2 * 2 * 8 * 8 * 16
    assert any("FlopCounterMode ran on cpu tensors; on fake tensors: " in note for note in found.notes)


def test_keyword_arguments_and_named_outputs() -> None:
    check = cross_check(resolve("bert-base"), request=ProfileRequest(batch_size=1, sequence_length=32))
    layers = 2 * 32 * (12 * 12 * 768**2 + 768**2 + 768 * 30522)
    assert row(check, "matmul").fvcore_x2 == row(check, "matmul").flopcast == layers
    assert row(check, "attention").flop_counter_mode == 2 * 2 * 12 * 32 * 32 * 768


def test_a_tool_that_cannot_run_the_model_says_why() -> None:
    class Refuses(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.jit.is_tracing():
                raise RuntimeError("no tracing here")
            return super().forward(x)

    check = cross_check(Refuses(4, 5), (torch.randn(3, 4),))
    assert check.total.fvcore_x2 is None and row(check, "matmul").flop_counter_mode == 2 * 3 * 4 * 5
    assert "fvcore has no figures: on cpu tensors: no tracing here" in check.notes


def test_without_fvcore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fvcore.nn", None)
    check = cross_check(nn.Linear(4, 5), (torch.randn(3, 4),))
    assert check.total.fvcore_x2 is None
    assert "fvcore has no figures: not installed (pip install fvcore)" in check.notes


def test_the_model_and_torch_stay_as_they_were() -> None:
    model, x = network().train(), torch.randn(2, 3, 32, 32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = cross_check(model, (x,)), cross_check(model, (x,))
    assert first == second
    assert model.training and torch.is_grad_enabled()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_prints_as_a_table() -> None:
    text = repr(cross_check(Apply(attention), tuple(torch.randn(1, 12, 64, 64) for _ in range(3))))
    lines = text.splitlines()
    assert lines[0] == "Apply · one forward pass · 1 multiply-add = 2 FLOPs"
    assert lines[2].split() == ["FAMILY", "FLOPCAST", "FVCORE", "×", "2", "FLOPCOUNTERMODE"]
    assert any(line.split() == ["attention", "12.6", "-", "12.6", "same"] for line in lines)
    assert "attention: fvcore has no handle for scaled_dot_product_attention (1 call)" in lines
    assert all(len(line) <= 120 for line in lines)


def test_records() -> None:
    records = cross_check(nn.Linear(4, 5), (torch.randn(3, 4),)).records()
    assert records[0] == {
        "family": "matmul",
        "flopcast": 120,
        "fvcore_x2": 120,
        "flop_counter_mode": 120,
        "reason": "",
    }
    assert records[-1]["family"] == "matrix products"
