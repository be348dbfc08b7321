"""Matrix FLOPs of more minimal models, forward and backward, equal to the last FLOP to what was derived by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hand_truth_cases import Case
from hand_truth_modules import Apply
from hand_truth_more_cases import CASES
from torch import nn

from hardware_db.errors import UsageError
from profiles import profile_model


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_step(case: Case) -> None:
    mode = "forward" if case.backward is None else "train"
    profile = profile_model(case.build(), case.args(), case.kwargs(), mode=mode)
    assert (profile.rung, profile.uncounted) == ("meta", ())
    assert (profile.matmul_flops.forward, profile.matmul_flops.backward) == (case.forward, case.backward or 0)


FACTORIZED = 64
"""Rows of a square matrix."""


@pytest.mark.parametrize(
    ("function", "flops"),
    [
        (torch.linalg.inv, 2 * FACTORIZED**3),
        (lambda a: torch.linalg.lu_factor(a)[0], FACTORIZED**3 - FACTORIZED**3 // 3),
        (lambda a: torch.linalg.qr(a)[0], 2 * (2 * FACTORIZED**3 - 2 * FACTORIZED**3 // 3)),
        (torch.linalg.svdvals, 4 * FACTORIZED**3 - 4 * FACTORIZED**3 // 3),
        (torch.linalg.eigvalsh, 4 * FACTORIZED**3 // 3),
        (torch.linalg.eigvals, 10 * FACTORIZED**3),
        (torch.linalg.cholesky, FACTORIZED**3 // 3),
        (lambda a: torch.linalg.solve(a, a), FACTORIZED**3 - FACTORIZED**3 // 3 + 2 * FACTORIZED**3),
    ],
    ids=["inverse", "LU", "QR", "singular values", "symmetric", "eigenvalues", "Cholesky", "solve"],
)
def test_factorisations_are_work_but_no_matrix_products(function: Callable[..., Any], flops: int) -> None:
    """Leading operation counts of LAPACK Working Note 41, appendix C, and Golub and Van Loan; Q takes as much as R."""
    found = profile_model(Apply(function), (torch.eye(FACTORIZED),), mode="forward")
    assert found.uncounted == ()
    assert (found.flops.total, found.matmul_flops.total) == (flops, 0)


def test_packed_weights_of_four_bits() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Buffer(torch.zeros(8, 4, 32, 4, dtype=torch.int32))
            self.scales = nn.Buffer(torch.zeros(2, 64, 2, dtype=torch.bfloat16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten._weight_int4pack_mm(x, self.weight, 32, self.scales)

    found = profile_model(Packed(), (torch.randn(16, 64),), mode="forward", precision="bfloat16")
    assert (found.rung, found.matmul_flops.forward) == ("meta", 2 * 16 * 64 * 64)


def test_attention_of_unequal_rows_is_an_estimate_that_is_listed() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = x.unflatten(-1, (2, 8)).transpose(1, 2)
            attended = nn.functional.scaled_dot_product_attention(heads, heads, heads)
            return attended.transpose(1, 2).flatten(-2).values()

    def rows(*lengths: int) -> torch.Tensor:
        return torch.nested.nested_tensor([torch.zeros(length, 16) for length in lengths], layout=torch.jagged)

    equal = profile_model(Attention(), (rows(5, 5),), mode="forward")
    assert (equal.uncounted, equal.matmul_flops.forward) == ((), 2 * 2 * 2 * 5 * 5 * 16)
    unequal = profile_model(Attention(), (rows(4, 6),), mode="forward")
    assert [each.operator for each in unequal.uncounted] == ["aten._flash_attention_forward"]
    assert unequal.matmul_flops.forward > 0


def test_nested_tensors_without_sizes_are_refused() -> None:
    rows = torch.nested.nested_tensor([torch.zeros(4, 16), torch.zeros(6, 16)])
    with pytest.raises(UsageError, match=r"layout=torch\.jagged"):
        profile_model(nn.Linear(16, 16), (rows,), mode="forward")
