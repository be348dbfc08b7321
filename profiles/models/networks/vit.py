"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929, table 1): pre-norm encoder over image patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention of [batch, tokens, hidden] with `heads` heads."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        batch, tokens, hidden = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, hidden))
        return output


class Block(nn.Module):
    """Attention and MLP, each after a layer norm and inside a residual."""

    def __init__(self, hidden: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden, eps=1e-6)
        self.attention = Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(hidden, mlp), nn.GELU(), nn.Linear(mlp, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        x = x + self.attention(self.norm1(x))
        output: Tensor = x + self.mlp(self.norm2(x))
        return output


class VisionTransformer(nn.Module):
    """Image [batch, 3, side, side] -> class scores [batch, classes], for the one side it has positions for."""

    def __init__(self, hidden: int, layers: int, heads: int, patch: int, side: int, classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, hidden, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.positions = nn.Parameter(torch.zeros(1, (side // patch) ** 2 + 1, hidden))
        self.blocks = nn.Sequential(*(Block(hidden, heads, 4 * hidden) for _ in range(layers)))
        self.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.class_token.expand(x.shape[0], -1, -1), tokens), dim=1)
        encoded = self.norm(self.blocks(tokens + self.positions))
        scores: Tensor = self.head(encoded[:, 0])
        return scores


def vision_transformer(
    hidden: int, layers: int, heads: int, patch: int, image_size: int = 224, classes: int = 1000
) -> nn.Module:
    """Build e.g. ViT-B/16: hidden 768, 12 layers, 12 heads, patch 16."""
    return VisionTransformer(hidden, layers, heads, patch, image_size, classes)
