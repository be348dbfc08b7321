"""The denoiser of latent diffusion (Rombach et al. 2022, arXiv 2112.10752; Stable Diffusion 1.x v1-inference.yaml).

320 base channels times 1, 2, 4, 4; two residual blocks a level; cross-attention to text at the three finer levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions with the time step added in between: [batch, inputs, h, w] -> [batch, outputs, h, w]."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, inputs), nn.GroupNorm(32, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Run as the class says."""
        hidden = self.conv1(nn.functional.silu(self.norm1(x)))
        hidden = hidden + self.time(nn.functional.silu(time))[:, :, None, None]
        hidden = self.conv2(nn.functional.silu(self.norm2(hidden)))
        output: Tensor = hidden + self.shortcut(x)
        return output


class Attention(nn.Module):
    """Attention of [batch, tokens, width] over [batch, others, context]."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context, width, bias=False)
        self.value = nn.Linear(context, width, bias=False)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Run as the class says."""
        query, key, value = self._split(self.query(x)), self._split(self.key(context)), self._split(self.value(context))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return output


class SpatialTransformer(nn.Module):
    """One transformer block over all pixels: self-attention, cross-attention to the text, gated MLP."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width)
        self.enter, self.leave = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, width, heads)
        self.cross_attention = Attention(width, context, heads)
        self.gated = nn.Linear(width, 8 * width)
        self.project = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Run as the class says."""
        tokens = self.enter(self.norm(x)).flatten(2).transpose(1, 2)
        normed = self.norms[0](tokens)
        tokens = tokens + self.self_attention(normed, normed)
        tokens = tokens + self.cross_attention(self.norms[1](tokens), context)
        values, gate = self.gated(self.norms[2](tokens)).chunk(2, dim=-1)
        tokens = tokens + self.project(values * nn.functional.gelu(gate))
        output: Tensor = x + self.leave(tokens.transpose(1, 2).reshape(x.shape))
        return output


class Level(nn.Module):
    """A residual block, with a spatial transformer where the level attends."""

    def __init__(self, inputs: int, outputs: int, attends: bool, time: int, context: int) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, time)
        self.attention = SpatialTransformer(outputs, context, 8) if attends else None

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """Run as the class says."""
        x = self.block(x, time)
        return x if self.attention is None else self.attention(x, context)


class Down(nn.Module):
    """Halve the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """Run as the class says."""
        halved: Tensor = self.conv(x)
        return halved


class Up(nn.Module):
    """Double the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        doubled: Tensor = self.conv(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return doubled


class DiffusionUNet(nn.Module):
    """Noisy latents [batch, 4, side, side], steps [batch], text [batch, tokens, context] -> noise like the latents."""

    def __init__(self, width: int, factors: Sequence[int], context: int) -> None:
        super().__init__()
        self.width, time = width, 4 * width
        self.time = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        self.enter = nn.Conv2d(4, width, 3, padding=1)
        self.down, self.up, self.grow = nn.ModuleList(), nn.ModuleList(), nn.ModuleDict()
        last, channels, kept = len(factors) - 1, width, [width]
        for level, factor in enumerate(factors):
            for _ in range(2):
                self.down.append(Level(channels, factor * width, level < last, time, context))
                channels = factor * width
                kept.append(channels)
            if level < last:
                self.down.append(Down(channels))
                kept.append(channels)
        self.middle = Level(channels, channels, True, time, context)
        self.bottom = ResidualBlock(channels, channels, time)
        for level, factor in reversed(list(enumerate(factors))):
            for block in range(3):
                self.up.append(Level(channels + kept.pop(), factor * width, level < last, time, context))
                channels = factor * width
                if block == 2 and level > 0:
                    self.grow[str(len(self.up) - 1)] = Up(channels)
        self.norm = nn.GroupNorm(32, width)
        self.leave = nn.Conv2d(width, 4, 3, padding=1)

    def _embed(self, steps: Tensor, like: Tensor) -> Tensor:
        half = self.width // 2
        rates = torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000.0) / half))
        angles = steps.to(like.device)[:, None].float() * rates
        embedded: Tensor = self.time(torch.cat((angles.cos(), angles.sin()), dim=-1).to(like.dtype))
        return embedded

    def forward(self, latents: Tensor, steps: Tensor, text: Tensor) -> Tensor:
        """Run as the class says."""
        time, x = self._embed(steps, latents), self.enter(latents)
        kept = [x]
        for layer in self.down:
            x = layer(x, time, text)
            kept.append(x)
        x = self.bottom(self.middle(x, time, text), time)
        for index, layer in enumerate(self.up):
            x = layer(torch.cat((x, kept.pop()), dim=1), time, text)
            if str(index) in self.grow:
                x = self.grow[str(index)](x)
        noise: Tensor = self.leave(nn.functional.silu(self.norm(x)))
        return noise


def diffusion_unet(width: int, factors: Sequence[int], context: int) -> nn.Module:
    """Build e.g. Stable Diffusion 1.x: width 320, factors (1, 2, 4, 4), context 768."""
    return DiffusionUNet(width, factors, context)
