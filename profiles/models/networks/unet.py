"""U-Net for segmentation (Ronneberger et al. 2015, arXiv 1505.04597, figure 1): unpadded, cropped shortcuts."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3), nn.ReLU(inplace=True), nn.Conv2d(outputs, outputs, 3), nn.ReLU(inplace=True)
    )


def _crop(features: Tensor, height: int, width: int) -> Tensor:
    top, left = (features.shape[2] - height) // 2, (features.shape[3] - width) // 2
    return features[:, :, top : top + height, left : left + width]


class UNet(nn.Module):
    """Image [batch, channels, side, side] -> scores [batch, classes, side - 184, side - 184]."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 1024)
        self.down = nn.ModuleList(_double(a, b) for a, b in zip((channels, *widths), widths, strict=False))
        self.pool = nn.MaxPool2d(2)
        rising = widths[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairwise(rising))
        self.join = nn.ModuleList(_double(a, b) for a, b in pairwise(rising))
        self.head = nn.Conv2d(64, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        shortcuts = []
        for level, layer in enumerate(self.down):
            x = layer(x if level == 0 else self.pool(x))
            shortcuts.append(x)
        for up, join, shortcut in zip(self.up, self.join, shortcuts[-2::-1], strict=True):
            x = up(x)
            x = join(torch.cat((_crop(shortcut, x.shape[2], x.shape[3]), x), dim=1))
        scores: Tensor = self.head(x)
        return scores


def unet(channels: int, classes: int) -> nn.Module:
    """Build the network of the paper: 1 channel, 2 classes, images of 572 x 572."""
    return UNet(channels, classes)
