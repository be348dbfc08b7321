"""Kinds of models beyond plain modules: what torch compiles, scripts, nests or leaves to values; truth by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hand_truth_modules import Apply
from torch import nn
from torch._higher_order_ops import while_loop
from torch._higher_order_ops.scan import scan
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from hardware_db.errors import ModelError
from profiles import ModelProfile, profile_model

LINEAR = 2 * 4 * 16 * 8
X = torch.zeros(4, 16)


def linear() -> nn.Linear:
    return nn.Linear(16, 8, bias=False)


class Layer(nn.Module):
    """One linear layer, used as a function says."""

    def __init__(self, use: Callable[..., Any]) -> None:
        super().__init__()
        self.layer = linear()
        self.square = nn.Linear(16, 16, bias=False)
        self.use = use

    def forward(self, *args: Any) -> Any:
        return self.use(self, *args)


def products(model: nn.Module, *args: Any, **options: Any) -> int:
    profile = profile_model(model, args, mode="forward", **options)
    assert profile.rung == "meta", profile.rung_reason
    return profile.matmul_flops.forward


def compiled_inside(model: Layer, x: torch.Tensor) -> Any:
    return torch.compile(lambda value: model.layer(value).relu())(x)


def branch(model: Layer, x: torch.Tensor, flag: torch.Tensor) -> Any:
    return torch.cond(flag.sum() > 0, lambda a: model.layer(model.square(a)), lambda a: model.layer(a), (x,))


def loop(model: Layer, x: torch.Tensor) -> Any:
    weight = model.square.weight
    return while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a @ weight), (torch.tensor(0), x))[1]


def steps(model: Layer, x: torch.Tensor) -> Any:
    weight = model.square.weight
    return scan(lambda carry, row: (torch.tanh(carry @ weight + row), carry.clone()), torch.zeros(16), x, dim=0)[0]


SQUARE = 2 * 4 * 16 * 16


@pytest.mark.parametrize(
    ("use", "args", "truth"),
    [
        (compiled_inside, (X,), LINEAR),
        (branch, (X, torch.ones(2)), SQUARE + LINEAR),
        (branch, (X, torch.zeros(2)), LINEAR),
        (loop, (X,), 3 * SQUARE),
        (steps, (X,), SQUARE),
        (lambda model, x: model.layer(x + torch.ones(16, device="cuda").cuda().to("cuda:0")), (X,), LINEAR),
        (lambda model, x, mask: model.layer(x[mask]), (X, torch.tensor([True, False, True, True])), LINEAR * 3 // 4),
    ],
)
def test_code_is_followed(use: Callable[..., Any], args: tuple[Any, ...], truth: int) -> None:
    assert products(Layer(use), *args) == truth


def test_masks_of_one_shape_select_what_their_values_say() -> None:
    def parts(model: Layer, x: torch.Tensor, mask: torch.Tensor) -> Any:
        return model.layer(x[mask]).sum() + model.square(x[~mask]).sum()

    few = products(Layer(parts), X, torch.tensor([True, False, False, False]))
    assert few == LINEAR * 1 // 4 + SQUARE * 3 // 4


@pytest.mark.parametrize(
    "model",
    [
        torch.jit.script(linear()),
        torch.jit.trace(linear(), X),
        torch.fx.symbolic_trace(nn.Sequential(linear())),
        torch.export.export(nn.Sequential(linear()), (X,)).module(),
        torch.compile(linear()),
        nn.Sequential(torch.compile(linear())),
        nn.Sequential(nn.LazyLinear(8, bias=False)),
        nn.utils.parametrizations.weight_norm(linear()),
        torch.optim.swa_utils.AveragedModel(linear()),
        nn.DataParallel(linear()),
    ],
    ids=["script", "trace", "fx", "export", "compile", "compile inside", "lazy", "weight norm", "average", "parallel"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrapped_layer(model: nn.Module) -> None:
    profile = profile_model(model, X)
    assert (profile.rung, profile.matmul_flops.forward, profile.matmul_flops.backward) == ("meta", LINEAR, LINEAR)


def test_what_was_made_outside_of_the_model_is_taken_along() -> None:
    window = torch.hann_window(16)
    assert products(Layer(lambda model, x: model.layer(x * window)), X) == LINEAR


@torch.library.custom_op("flopcast_tests::stored", mutates_args=())
def stored(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x @ weight


@stored.register_fake
def _(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x.new_empty(x.shape[0], weight.shape[1])


def test_operators_and_locks_in_a_module_are_shared_not_copied() -> None:
    model = Layer(lambda model, x: model.operator(x, model.layer.weight.t()))
    model.operator = stored
    assert products(model, X) == LINEAR
    assert model.operator is stored


def test_optimizers_are_found_when_the_compiler_is_loaded() -> None:
    import torch._dynamo  # noqa: F401

    assert profile_model(linear(), X, optimizer="adamw").flops.optimizer > 0


# flex attention: 2 heads, 256 x 256 pairs in blocks of 128; a causal mask leaves 3 of 4 blocks
PAIRS, WIDTH = 2 * 256 * 256, 16
QUERY = torch.zeros(1, 2, 256, WIDTH)


def causal(batch: Any, head: Any, query: Any, key: Any) -> Any:
    return query >= key


def flex(masked: bool) -> ModelProfile:
    def attend(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        mask = create_block_mask(causal, None, None, 256, 256, device=x.device) if masked else None
        return flex_attention(x * scale, x, x, block_mask=mask)

    return profile_model(Apply(attend, torch.ones(1)), QUERY)


def test_flex_attention_is_one_kernel_each_way() -> None:
    profile = flex(masked=False)
    assert profile.matmul_flops.forward == 2 * 2 * PAIRS * WIDTH
    assert profile.matmul_flops.backward == 5 * 2 * PAIRS * WIDTH
    assert not profile.uncounted


def test_the_block_mask_decides_what_flex_attention_executes() -> None:
    kernels = [operation for operation in flex(masked=True).operations if operation.family == "attention"]
    assert [operation.executed_flops * 4 for operation in kernels] == [operation.flops * 3 for operation in kernels]


def test_dense_tensors_made_sparse_are_counted_by_their_values() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sparse.mm(x.to_sparse(), self.weight)

    profile = profile_model(Sparse(), torch.eye(3, 5))
    assert (profile.rung, profile.matmul_flops.forward) == ("cpu", 2 * 3 * 4)


def test_nested_tensors_are_counted_by_their_rows() -> None:
    rows = torch.nested.nested_tensor([torch.zeros(4, 16), torch.zeros(6, 16)], layout=torch.jagged)
    assert products(Layer(lambda model, nested: model.layer(nested).values()), rows) == 2 * 10 * 16 * 8


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_packed_sequences_are_counted_by_their_lengths(device: str) -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.LSTM(10, 16, batch_first=True)

        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return self.cells(packed)[0].data

    profile = profile_model(Packed(), (torch.zeros(3, 7, 10), torch.tensor([3, 7, 5])), mode="forward", device=device)
    assert profile.matmul_flops.forward == 15 * 2 * 4 * 16 * (10 + 16)


def test_projected_lstm_on_the_cpu() -> None:
    model = nn.LSTM(10, 16, proj_size=8)
    truth = 7 * 3 * 2 * (4 * 16 * (10 + 8) + 8 * 16)
    assert products(model, torch.zeros(7, 3, 10), device="cpu") == truth


def test_a_model_that_fails_says_why() -> None:
    with pytest.raises(ModelError, match=r"\[4, 15\] X \[16, 8\]"):
        profile_model(linear(), torch.zeros(4, 15))


FIXED = torch.eye(64).to_sparse()


@pytest.mark.parametrize("matrix", [FIXED, FIXED.to_sparse_csr()], ids=["coo", "csr"])
def test_a_sparse_tensor_from_outside_of_the_model_is_counted_by_its_values(matrix) -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(32, 32, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sparse.mm(matrix, self.linear(x))

    found = profile_model(Graph(), (torch.randn(64, 32),))
    linear, product = 2 * 64 * 32 * 32, 2 * 64 * 32  # 64 stored ones meet 32 columns each
    assert found.matmul_flops.forward == linear + product
    assert found.matmul_flops.backward == linear + product  # gradients of the weight and of the dense factor alone


def test_inputs_of_eight_bit_floats_stay_what_they_are() -> None:
    class Scaled(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            one = torch.tensor(1.0)
            return torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    left, right = torch.randn(32, 64).to(torch.float8_e4m3fn), torch.randn(48, 64).to(torch.float8_e4m3fn)
    found = profile_model(Scaled(), (left, right), mode="forward")
    assert found.matmul_flops.forward == 2 * 32 * 64 * 48
    (product,) = (each for each in found.operations if each.family == "matmul")
    assert product.precision == "float8" and product.bytes_read == 32 * 64 + 48 * 64 + 2 * 4  # and two scales


def test_flex_attention_imported_while_the_model_runs():
    """Products of two heads: 2 x 2 x 16 x 16 x 8, and the projection to three times the width."""
    import subprocess
    import sys

    code = (
        "import torch\n"
        "from profiles import profile_model\n"
        "class Flex(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.q = torch.nn.Linear(8, 24, bias=False)\n"
        "    def forward(self, x):\n"
        "        from torch.nn.attention.flex_attention import flex_attention\n"
        "        return flex_attention(*self.q(x).chunk(3, -1))\n"
        "print(profile_model(Flex(), torch.rand(1, 2, 16, 8), mode='forward').matmul_flops.forward)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert int(run.stdout) == 2 * 2 * (2 * 16 * 16 * 8) + 2 * 2 * 16 * 8 * 24
