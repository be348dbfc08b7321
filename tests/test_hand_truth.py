"""Matrix FLOPs of minimal models, forward and backward, equal to the last FLOP to what was derived by hand."""

from __future__ import annotations

import pytest
from hand_truth_cases import CASES, Case

from profiles import profile_model


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_forward(case: Case, device: str) -> None:
    profile = profile_model(case.build(), case.args(), case.kwargs(), mode="forward", device=device)
    assert profile.uncounted == ()
    assert profile.matmul_flops.total == case.forward


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("case", [case for case in CASES if case.backward is not None], ids=lambda case: case.name)
def test_training(case: Case, device: str) -> None:
    profile = profile_model(case.build(), case.args(), case.kwargs(), mode="train", device=device)
    assert profile.uncounted == ()
    assert profile.matmul_flops.forward == case.forward
    assert profile.matmul_flops.backward == case.expected_backward(device)
    assert profile.matmul_flops.optimizer == 0
