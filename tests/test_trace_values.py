"""What is known of the values behind symbolic tensors, so that a symbolic run takes the branches of a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hand_truth_modules import Apply
from torch import nn
from torch.distributions import Categorical, Distribution

from hardware_db.errors import ModelError
from profiles import ModelProfile, profile_model
from profiles.definitions import ProfileRequest, profile_definition
from profiles.models import ModelDefinition, resolve

ROWS = torch.arange(8).reshape(2, 4)
WIDTH = 16
WEIGHT = torch.zeros(WIDTH, WIDTH)


def forward(use: Callable[..., Any], *args: torch.Tensor) -> ModelProfile:
    return profile_model(Apply(use, WEIGHT), args, mode="forward")


def test_numbers_read_off_one_tensor_make_another() -> None:
    def use(x: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        longest = torch.tensor([row.max() + 1 for row in ids], device=ids.device)  # 4 and 8
        return x[: int(longest.max())] @ weight

    profile = forward(use, torch.zeros(20, WIDTH), ROWS)
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 8 * WIDTH**2)


def test_a_tensor_made_of_tensors_keeps_their_type() -> None:
    def use(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        scale = torch.tensor([x.new_ones(()), x.new_zeros(())])
        return (x @ weight) * scale.sum()

    profile = profile_model(Apply(use, WEIGHT), torch.zeros(4, WIDTH), mode="forward", precision="bfloat16")
    assert {operation.precision for operation in profile.operations} == {"bfloat16"}


def test_real_numbers_are_assumed_to_differ_from_a_constant() -> None:
    def use(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        padded = (images == 0.0).sum(dim=-1) == WIDTH  # as models look for images that were added to fill a batch
        return images[~padded] @ weight

    profile = forward(use, torch.zeros(6, WIDTH))
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 6 * WIDTH**2)


def test_a_list_of_known_counts_splits_as_in_a_real_run() -> None:
    def use(x: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x.split((ids > 2).sum(-1).tolist())[1] @ weight  # 1 and 4 of 5 rows

    profile = forward(use, torch.zeros(5, WIDTH), ROWS)
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 4 * WIDTH**2)


def test_a_list_of_unknown_counts_is_found_by_a_real_run() -> None:
    def use(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        chosen = x.sum(-1) > 0
        return x.split(torch.stack([chosen.sum(), (~chosen).sum()]).tolist())[0] @ weight

    profile = forward(use, torch.tensor([1.0] * 2 + [-1.0] * 6)[:, None].expand(8, WIDTH))
    assert (profile.rung, profile.matmul_flops.total) == ("cpu", 2 * 2 * WIDTH**2)
    assert "list of values" in profile.rung_reason


class Strided(nn.Module):
    """Pads by what its buffers say, as audio codecs do."""

    def __init__(self) -> None:
        super().__init__()
        kernel, stride = torch.tensor(7), torch.tensor(2)
        self.layer = nn.Conv1d(1, 1, 7, 2, bias=False)
        self.register_buffer("missing", kernel - stride, persistent=False)
        self.layers = [item.item() for item in torch.linspace(1, 3, 3)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad by five on the left."""
        found: torch.Tensor = self.layer(nn.functional.pad(x, (int(self.missing), 0), mode="reflect"))
        return found


def test_buffers_that_are_made_while_the_model_is_built_keep_their_values() -> None:
    definition = ModelDefinition(
        name="padded",
        build=Strided,
        inputs=lambda batch, sequence, image: ((torch.zeros(batch, 1, 40),), {}),
        loss=lambda outputs, args, kwargs: outputs.mean(),
        batch_size=3,
    )
    profile = profile_definition(definition)
    places = (40 + 5 - 7) // 2 + 1
    assert (profile.rung, profile.matmul_flops.forward) == ("meta", 2 * 3 * places * 7)
    assert not any("guess" in note for note in profile.notes)


def test_distributions_ask_no_questions_and_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Distribution, "_validate_args", True)  # some libraries switch it off for the whole process

    def use(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return Categorical(logits=x @ weight).entropy()

    profile = forward(use, torch.zeros(4, WIDTH))
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 4 * WIDTH**2)
    assert Distribution._validate_args is True
    with pytest.raises(ValueError, match="logits"):
        Categorical(logits=torch.full((3,), float("nan")))


def test_a_mask_repeated_over_many_features_selects_as_in_a_real_run() -> None:
    wide = 1 << 20  # places of the mask: 8 x a million, more than values are kept for

    def use(x: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        chosen = (ids > 4).unsqueeze(-1).expand(*ids.shape, wide)  # 5, 6 and 7 of 8
        return x[chosen].reshape(-1, WIDTH) @ weight

    profile = forward(use, torch.zeros(2, 4, wide, device="meta"), ROWS)
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 3 * wide * WIDTH)


def test_integers_that_are_filled_in_piece_by_piece_keep_their_values() -> None:
    def use(x: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        starts = torch.empty(2, dtype=torch.int64)
        starts[0], starts[1:] = 0, ids.cumsum(1)[0, -1]  # 0 + 1 + 2 + 3
        return x[torch.arange(starts[0], starts[1])] @ weight

    profile = forward(use, torch.zeros(20, WIDTH), ROWS)
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 6 * WIDTH**2)


def test_what_is_written_over_through_a_view_is_known_no_longer() -> None:
    def use(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        counts = torch.zeros(8, dtype=torch.int64)
        counts[:4] = x[:4, 0].long()  # 1 each, which only a real run can tell
        return x[: counts.sum()] @ weight

    profile = forward(use, torch.ones(20, WIDTH))
    assert (profile.rung, profile.matmul_flops.total) == ("cpu", 2 * 4 * WIDTH**2)


def test_a_layer_named_by_a_number_read_off_a_tensor_is_found() -> None:
    """As transformers' SwitchTransformers finds its experts: `self[f"expert_{index}"]`."""

    def use(x: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        experts = {f"expert_{index}": index + 1 for index in range(4)}
        rows = sum(experts[f"expert_{index}"] for index in ids[0])  # 1 + 2 + 3 + 4
        return x[:rows] @ weight if f"{ids[1, 3]:03d}" == "007" else x

    profile = forward(use, torch.zeros(20, WIDTH), ROWS)
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * 10 * WIDTH**2)


@pytest.mark.parametrize("weighted", [False, True])
def test_marks_of_who_takes_what_say_how_much_each_expert_gets(weighted: bool) -> None:
    tokens, experts = 64, 8  # more places than real numbers are followed for elsewhere

    def use(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        best, chosen = (x @ weight)[:, :experts].topk(2, dim=1)
        marks = torch.zeros_like(x[:, :experts]).scatter(1, chosen, best if weighted else 1.0)
        taken = (marks > 0).sum(0).tolist()
        rows, _ = torch.nonzero(marks).unbind(1)
        return torch.cat([part @ weight for part in x[rows].split(taken)])

    profile = forward(use, torch.zeros(tokens, WIDTH))
    assert (profile.rung, profile.matmul_flops.total) == ("meta", 2 * (1 + 2) * tokens * WIDTH**2)
    assert any("balanced" in note for note in profile.notes)


class Shrinking(nn.Module):
    """Five products [8, 32] x [32, 32]: weights halve and shrink what they multiply, yet not to 1e-3 in five turns."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 32, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turns = 0
        while x.norm() > 1e-3 and turns < 5:
            x, turns = self.layer(x) * 0.5, turns + 1
        return x


PRODUCT = 2 * 8 * 32 * 32


@pytest.mark.parametrize(("mode", "backward"), [("forward", 0), ("train", (5 + 4) * PRODUCT)])
def test_a_loop_that_values_end_is_run_for_real(mode: Any, backward: int) -> None:
    profile = profile_model(Shrinking(), torch.randn(8, 32), mode=mode)  # the first input needs no gradient
    assert profile.rung == "cpu"
    assert (profile.matmul_flops.forward, profile.matmul_flops.backward) == (5 * PRODUCT, backward)


FACTORY = """
import torch
from test_trace_values import Shrinking

def random():
    return Shrinking(), torch.randn(8, 32)

def tiny():
    return Shrinking(), torch.full((8, 32), 1e-9)

def scaled():
    scale = torch.full((32,), 2.0)
    return Shrinking(), torch.randn(8, 32), lambda model, x: (model(x) * scale).sum()
"""


@pytest.mark.parametrize(
    ("factory", "mode", "products"),
    [("random", "forward", 5), ("random", "train", 14), ("scaled", "train", 14), ("tiny", "forward", 0)],
)
def test_a_real_run_has_weights_and_inputs_of_the_factory(
    tmp_path: Path, factory: str, mode: Any, products: int
) -> None:
    (tmp_path / "looping.py").write_text(FACTORY)
    request = ProfileRequest(mode=mode)
    profile = profile_definition(resolve(f"looping.py:{factory}", base=tmp_path), request)
    assert (profile.rung, profile.matmul_flops.total) == ("cpu", products * PRODUCT)
    assert any("made-up weights and inputs (random, seed 0)" in note for note in profile.notes)


def test_made_up_values_are_the_same_each_time_and_leave_random_numbers_alone(tmp_path: Path) -> None:
    (tmp_path / "drawn.py").write_text(
        "import torch\nfrom torch import nn\n\nclass Drawn(nn.Linear):\n    def forward(self, x):\n"
        "        return x[: int(self.weight.abs().sum() * 1e4) % 997] @ self.weight\n\n"
        "def model():\n    return Drawn(8, 8), torch.randn(1000, 8)\n"
    )
    before = torch.get_rng_state()
    seen = [profile_definition(resolve("drawn.py:model", base=tmp_path)).matmul_flops.forward for _ in range(2)]
    assert seen[0] == seen[1] > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_an_output_that_a_guess_cut_off_is_named_as_such_where_a_real_run_fails_too() -> None:
    def use(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 1 else x.detach()

    with pytest.raises(ModelError, match=r"differentiated(.|\n)*guessed: _local_scalar_dense \(1\)"):
        profile_model(Apply(use, nn.Parameter(WEIGHT)), torch.zeros(8, WIDTH))
