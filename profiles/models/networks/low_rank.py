"""Low-rank adapters beside frozen linear layers (Hu et al. 2021, LoRA, arXiv 2106.09685, equation 3)."""

from __future__ import annotations

from torch import Tensor, nn


class LowRank(nn.Module):
    """A linear layer [..., inputs] -> [..., outputs] that stays as it is, plus two thin ones of `rank` that learn."""

    def __init__(self, base: nn.Module, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down, self.up = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False)
        self.scale = 1.0 / rank

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        output: Tensor = self.base(x) + self.up(self.down(x)) * self.scale
        return output

    @property
    def weight(self) -> Tensor:
        """The weight that stays, for models that ask a layer for its type or place."""
        return self.base.get_parameter("weight")


def widths(layer: nn.Module) -> tuple[int, int] | None:
    """Inputs and outputs of a layer that multiplies by one matrix; None for any other layer."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D":  # of transformers: a linear layer with its weight the other way round
        inputs, outputs = layer.get_parameter("weight").shape
        return inputs, outputs
    return None


def adapt(model: nn.Module, paths: list[str], rank: int) -> nn.Module:
    """Freeze a model and put an adapter of `rank` beside each linear layer at one of the `paths`; returns the model."""
    model.requires_grad_(False)
    for path in paths:
        layer = model.get_submodule(path)
        sizes = widths(layer)
        if sizes is None:
            continue
        adapter = LowRank(layer, *sizes, rank).to(next(layer.parameters()).dtype)
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, adapter)
    return model


def linear_paths(model: nn.Module) -> list[str]:
    """Paths of all linear layers."""
    return [path for path, layer in model.named_modules() if widths(layer) is not None]


def is_head(model: nn.Module, path: str) -> bool:
    """Whether a layer is the output layer over the vocabulary, or anything outside of the repeated layers."""
    return not any(isinstance(part, nn.ModuleList) for part in _above(model, path))


def _above(model: nn.Module, path: str) -> list[nn.Module]:
    parts = path.split(".")
    return [model.get_submodule(".".join(parts[:end])) for end in range(len(parts))]
