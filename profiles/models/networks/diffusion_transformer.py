"""Diffusion transformer (Peebles and Xie 2023, DiT, arXiv 2212.09748, section 3.2, adaLN-Zero)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from profiles.models.networks.vit import Attention

TIME_FEATURES = 256


class Block(nn.Module):
    """Attention and MLP, each scaled, shifted and gated by what the condition says."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.attention = Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU("tanh"), nn.Linear(4 * hidden, hidden))
        self.condition = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 6 * hidden))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Run as the class says."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.condition(condition).unsqueeze(1).chunk(6, dim=-1)
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1)
        output: Tensor = x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)
        return output


class DiffusionTransformer(nn.Module):
    """Latents [batch, 4, side, side], times [batch], classes [batch] -> noise and variance [batch, 8, side, side]."""

    def __init__(self, hidden: int, layers: int, heads: int, patch: int, side: int, classes: int) -> None:
        super().__init__()
        self.patch = patch
        self.patches = nn.Conv2d(4, hidden, patch, stride=patch)
        self.positions = nn.Parameter(torch.zeros(1, (side // patch) ** 2, hidden), requires_grad=False)
        self.times = nn.Sequential(nn.Linear(TIME_FEATURES, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.classes = nn.Embedding(classes + 1, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.condition = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))
        self.head = nn.Linear(hidden, patch * patch * 8)

    def forward(self, latents: Tensor, times: Tensor, classes: Tensor) -> Tensor:
        """Run as the class says."""
        x = self.patches(latents).flatten(2).transpose(1, 2) + self.positions
        condition = self.times(_waves(times.to(x.device), x.dtype)) + self.classes(classes)
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.condition(condition).unsqueeze(1).chunk(2, dim=-1)
        x = self.head(self.norm(x) * (1 + scale) + shift)
        batch, side = latents.shape[0], latents.shape[2] // self.patch
        x = x.view(batch, side, side, self.patch, self.patch, 8).permute(0, 5, 1, 3, 2, 4)
        noise: Tensor = x.reshape(batch, 8, side * self.patch, side * self.patch)
        return noise


def _waves(times: Tensor, dtype: torch.dtype) -> Tensor:
    """Sines and cosines of the times, [batch, TIME_FEATURES] (as in Nichol and Dhariwal 2021, arXiv 2102.09672)."""
    half = TIME_FEATURES // 2
    rates = torch.exp(-9.21 * torch.arange(half, device=times.device) / half)  # 9.21 = ln 10,000
    angles = times[:, None].float() * rates
    return torch.cat((angles.cos(), angles.sin()), dim=-1).to(dtype)


def diffusion_transformer(
    hidden: int, layers: int, heads: int, patch: int, side: int = 32, classes: int = 1000
) -> nn.Module:
    """DiT for latents of `side`; see the class."""
    return DiffusionTransformer(hidden, layers, heads, patch, side, classes)
