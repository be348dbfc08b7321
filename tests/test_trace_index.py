"""Values behind an index written as a list, and what a model asserts about values that nobody knows."""

import torch
from torch import nn

from profiles import profile_model


class Picks(nn.Module):
    def __init__(self, asserts: bool = False) -> None:
        super().__init__()
        self.layer, self.asserts = nn.Linear(4, 4, bias=False), asserts

    def forward(self, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        if self.asserts:
            torch._check_tensor_all_with(ValueError, self.layer(x).sum() < 1e9, "too large")
        rows = grid[:, [0, 2]].prod(-1)
        return self.layer(x.split(rows.tolist())[0])


GRID = torch.tensor([[1, 9, 2], [3, 9, 2]])


def test_columns_picked_by_a_list_keep_their_values() -> None:
    profile = profile_model(Picks(), (torch.rand(8, 4), GRID), mode="forward")
    assert profile.rung == "meta" and profile.matmul_flops.forward == 2 * 2 * 4 * 4


def test_what_a_model_asserts_of_unknown_values_is_taken_to_hold() -> None:
    profile = profile_model(Picks(asserts=True), (torch.rand(8, 4), GRID), mode="forward")
    assert profile.rung == "meta" and profile.matmul_flops.forward == 2 * (8 + 2) * 4 * 4
