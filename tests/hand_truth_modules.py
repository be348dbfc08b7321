"""The modules of the minimal models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Apply(nn.Module):
    """A function as a module, with tensors that it learns."""

    def __init__(self, function: Callable[..., torch.Tensor], *parameters: torch.Tensor) -> None:
        super().__init__()
        self.learned = nn.ParameterList(parameters)
        self.function = function

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        """Call the function with the inputs and the parameters."""
        return self.function(*args, *self.learned)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a 1x1 shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        self.shortcut = nn.Conv2d(32, 64, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(64), nn.BatchNorm2d(64)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + self.shortcut(x))


class Control(nn.Module):
    """The number of layers that run depends on an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(128, 128)

    def forward(self, x: torch.Tensor, times: int) -> torch.Tensor:
        """Run the layer so many times, and once more for large batches."""
        for _ in range(times):
            x = functional.relu(self.layer(x))
        return self.layer(x) if x.shape[0] > 4 else x


class Direct(nn.Module):
    """Calls `forward` of its part, past all hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(256, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Call the layer directly."""
        return self.layer.forward(x)


class Experts(nn.Module):
    """Two of four experts for every token, in a loop over experts."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(64, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every expert works on its share of the tokens, the same number for each."""
        self.router(x)
        share = x.shape[0] * 2 // len(self.experts)
        return torch.cat([expert(x[:share]) for expert in self.experts])


class LowRank(nn.Module):
    """A frozen layer and a trained correction of rank 8."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(512, 512).requires_grad_(False)
        self.down, self.up = nn.Linear(512, 8, bias=False), nn.Linear(8, 512, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of both."""
        output: torch.Tensor = self.frozen(x) + self.up(self.down(x))
        return output


class Twice(nn.Module):
    """One layer used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(256, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it three times."""
        output: torch.Tensor = self.layer(self.layer(self.layer(x)))
        return output


class Scaled(torch.autograd.Function):
    """A product with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Product."""
        ctx.save_for_backward(x, w)
        return x.mm(w)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor]:
        """Gradient by the weight alone."""
        x, _ = ctx.saved_tensors
        return None, x.t().mm(grads[0])


class Checkpointed(nn.Module):
    """A block that is run again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep nothing of the block."""
        from torch.utils.checkpoint import checkpoint

        output: torch.Tensor = checkpoint(self.block, x, use_reentrant=False)
        return output


class SparseProduct(nn.Module):
    """A fixed sparse matrix times the input."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(256).to_sparse())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sparse times dense."""
        return torch.sparse.mm(self.matrix, x)


class Mixed(nn.Module):
    """Matrix with vector, dot product, distances of all pairs, bilinear form."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.bilinear = nn.Parameter(torch.randn(256, 128)), nn.Bilinear(32, 32, 16)

    def forward(self, v: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Sum of all four."""
        product = torch.mv(self.matrix, v)
        return torch.dot(product, product) + torch.cdist(x, y).sum() + self.bilinear(x, y).sum()


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Fused attention."""
    return functional.scaled_dot_product_attention(query, key, value)


def per_sample(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Each sample with the matrix, by vmap."""
    mapped: torch.Tensor = torch.vmap(lambda row: row @ w)(x)
    return mapped


def quantised() -> nn.Module:
    """A linear layer with 8-bit weights, its activations quantised as it runs."""
    from torch.ao.quantization import quantize_dynamic

    model: nn.Module = quantize_dynamic(nn.Sequential(nn.Linear(256, 256)), {nn.Linear}, dtype=torch.qint8)
    return model
