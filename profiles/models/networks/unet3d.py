"""3D U-Net for volumes (Cicek et al. 2016, arXiv 1606.06650, figure 2): unpadded, channels doubled before pooling.

Its 19,069,955 parameters are those of all convolutions; batch normalisation has no scale and shift of its own here, and
the upward convolutions no bias, which is what that number counts.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def _double(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise((inputs, middle, outputs)):
        layers += [nn.Conv3d(a, b, 3), nn.BatchNorm3d(b, affine=False), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _crop(features: Tensor, like: Tensor) -> Tensor:
    """Cut the middle out."""
    for dimension in (2, 3, 4):
        length = like.shape[dimension]
        features = features.narrow(dimension, (features.shape[dimension] - length) // 2, length)
    return features


class UNet3D(nn.Module):
    """Volume [batch, channels, depth, height, width] -> scores [batch, classes, ...], 88 smaller along each side."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = (64, 128, 256, 512)
        self.down = nn.ModuleList(_double(a, b // 2, b) for a, b in zip((channels, *widths), widths, strict=False))
        self.pool = nn.MaxPool3d(2)
        rising = widths[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose3d(width, width, 2, 2, bias=False) for width in rising[:-1])
        self.join = nn.ModuleList(_double(a + b, b, b) for a, b in pairwise(rising))
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        shortcuts = []
        for level, layer in enumerate(self.down):
            x = layer(x if level == 0 else self.pool(x))
            shortcuts.append(x)
        for up, join, shortcut in zip(self.up, self.join, shortcuts[-2::-1], strict=True):
            x = up(x)
            x = join(torch.cat((_crop(shortcut, x), x), dim=1))
        scores: Tensor = self.head(x)
        return scores


def unet3d(channels: int, classes: int) -> nn.Module:
    """Build the network of the paper: 3 channels, 3 classes."""
    return UNet3D(channels, classes)
