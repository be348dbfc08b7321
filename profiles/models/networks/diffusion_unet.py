"""The denoiser of latent diffusion (Rombach et al. 2022, arXiv 2112.10752) and SDXL (Podell et al. 2023, 2307.01952).

Two residual blocks a level down, three up; a spatial transformer behind each where the level attends to the text.
Stable Diffusion 1.x: 320 channels times 1, 2, 4, 4, one transformer block at the three finer levels. SDXL: 320 channels
times 1, 2, 4, none, two and ten transformer blocks, and a vector of the pooled text and the sizes added to the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text, gated MLP: [batch, pixels, width] -> the same."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, width, heads)
        self.cross_attention = Attention(width, context, heads)
        self.gated = nn.Linear(width, 8 * width)
        self.project = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Run as the class says."""
        normed = self.norms[0](tokens)
        tokens = tokens + self.self_attention(normed, normed)
        tokens = tokens + self.cross_attention(self.norms[1](tokens), context)
        values, gate = self.gated(self.norms[2](tokens)).chunk(2, dim=-1)
        output: Tensor = tokens + self.project(values * nn.functional.gelu(gate))
        return output


class SpatialTransformer(nn.Module):
    """Transformer blocks over all pixels around a shortcut: [batch, width, h, w] -> the same."""

    def __init__(self, width: int, context: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width)
        self.enter, self.leave = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.blocks = nn.ModuleList(TransformerBlock(width, context, heads) for _ in range(blocks))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Run as the class says."""
        tokens = self.enter(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, context)
        output: Tensor = x + self.leave(tokens.transpose(1, 2).reshape(x.shape))
        return output


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the denoiser is told: width of the time vector and of the text, and how wide a head is (None: 8 heads)."""

    time: int
    context: int
    head_width: int | None

    def heads(self, width: int) -> int:
        """Number of heads of a level."""
        return 8 if self.head_width is None else width // self.head_width


class Level(nn.Module):
    """A residual block, with a spatial transformer of so many blocks where the level attends."""

    def __init__(self, inputs: int, outputs: int, blocks: int, told: Conditions) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, told.time)
        attention = SpatialTransformer(outputs, told.context, told.heads(outputs), blocks) if blocks else None
        self.attention = attention

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


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels of the first level, of each level in multiples of these, and transformer blocks of each level.

    context     width of the text's vectors
    middle      transformer blocks between the way down and the way up
    head_width  width of an attention head; None: 8 heads at every level
    pooled      width of the pooled text and the sizes that are added to the time; 0: none
    """

    width: int
    factors: Sequence[int]
    blocks: Sequence[int]
    context: int
    middle: int = 1
    head_width: int | None = None
    pooled: int = 0


def _vector(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.SiLU(), nn.Linear(outputs, outputs))


class DiffusionUNet(nn.Module):
    """Noisy latents [batch, 4, side, side], steps [batch], text [batch, tokens, context] -> noise like the latents.

    `pooled` [batch, width of it] is added to the time where the network has a place for it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.width, told = shape.width, Conditions(4 * shape.width, shape.context, shape.head_width)
        self.time = _vector(shape.width, told.time)
        self.also = _vector(shape.pooled, told.time) if shape.pooled else None
        self.enter = nn.Conv2d(4, shape.width, 3, padding=1)
        levels = [(factor * shape.width, blocks) for factor, blocks in zip(shape.factors, shape.blocks, strict=True)]
        self.down = nn.ModuleList()
        channels, kept = shape.width, [shape.width]
        for level, (width, blocks) in enumerate(levels):
            for _ in range(2):
                self.down.append(Level(channels, width, blocks, told))
                channels = width
                kept.append(channels)
            if level < len(levels) - 1:
                self.down.append(Down(channels))
                kept.append(channels)
        self.middle = Level(channels, channels, shape.middle, told)
        self.bottom = ResidualBlock(channels, channels, told.time)
        self._climb(levels, kept, told)
        self.norm = nn.GroupNorm(32, shape.width)
        self.leave = nn.Conv2d(shape.width, 4, 3, padding=1)

    def _climb(self, levels: list[tuple[int, int]], kept: list[int], told: Conditions) -> None:
        """Make the way up, which takes in what the way down has kept."""
        self.up, self.grow = nn.ModuleList(), nn.ModuleDict()
        channels = levels[-1][0]
        for level, (width, blocks) in reversed(list(enumerate(levels))):
            for block in range(3):
                self.up.append(Level(channels + kept.pop(), width, blocks, told))
                channels = width
                if block == 2 and level > 0:
                    self.grow[str(len(self.up) - 1)] = Up(channels)

    def _embed(self, steps: Tensor, like: Tensor) -> Tensor:
        half = self.width // 2
        rates = torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000.0) / half))
        angles = steps.to(like.device)[:, None].float() * rates
        embedded: Tensor = self.time(torch.cat((angles.cos(), angles.sin()), dim=-1).to(like.dtype))
        return embedded

    def forward(self, latents: Tensor, steps: Tensor, text: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Run as the class says."""
        time, x = self._embed(steps, latents), self.enter(latents)
        if self.also is not None:
            time = time + self.also(pooled)
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


def diffusion_unet(**shape: Any) -> nn.Module:
    """Build a denoiser of these dimensions, see `Shape`."""
    return DiffusionUNet(Shape(**shape))
