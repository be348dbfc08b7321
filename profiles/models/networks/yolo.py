"""YOLOv3 (Redmon and Farhadi 2018, arXiv 1804.02767): Darknet-53 and predictions at three scales, as in yolov3.cfg."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Box, objectness and the 80 classes of COCO for each of three anchors.
ANCHORS = 3
BOX = 4


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, leaky ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1, inplace=True))


class Residual(nn.Module):
    """1x1 and 3x3 convolutions around a shortcut: [batch, width, h, w] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_convolution(width, width // 2, 1), _convolution(width // 2, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        output: Tensor = x + self.layers(x)
        return output


def _stage(width: int, blocks: int) -> nn.Sequential:
    """Half the image, twice the channels, then residual blocks (table 1 of the paper)."""
    return nn.Sequential(_convolution(width // 2, width, 3, 2), *(Residual(width) for _ in range(blocks)))


class Head(nn.Module):
    """Features [batch, inputs, h, w] -> (features for the finer scale, predictions [batch, 3 x h x w, 85])."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        alternating = [_convolution(inputs, width, 1)]
        for _ in range(2):
            alternating += [_convolution(width, 2 * width, 3), _convolution(2 * width, width, 1)]
        self.body = nn.Sequential(*alternating)
        self.columns = BOX + 1 + classes
        self.predict = nn.Sequential(_convolution(width, 2 * width, 3), nn.Conv2d(2 * width, ANCHORS * self.columns, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run as the class says."""
        features = self.body(x)
        found = self.predict(features).unflatten(1, (ANCHORS, self.columns))
        return features, found.movedim(2, -1).flatten(1, 3)


class YOLOv3(nn.Module):
    """Image [batch, 3, side, side] -> box, objectness and class scores [batch, boxes, 5 + classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, 3)
        self.stages = nn.ModuleList(_stage(64 * 2**index, blocks) for index, blocks in enumerate((1, 2, 8, 8, 4)))
        self.heads = nn.ModuleList((Head(1024, 512, classes), Head(768, 256, classes), Head(384, 128, classes)))
        self.narrow = nn.ModuleList((_convolution(512, 256, 1), _convolution(256, 128, 1)))

    def forward(self, image: Tensor) -> Tensor:
        """Run as the class says."""
        x, kept = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            kept.append(x)
        x, found = self.heads[0](kept.pop())
        scales = [found]
        for narrow, head in zip(self.narrow, list(self.heads)[1:], strict=True):
            larger = nn.functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x, found = head(torch.cat((larger, kept.pop()), dim=1))
            scales.append(found)
        return torch.cat(scales, dim=1)


def yolov3(classes: int) -> nn.Module:
    """Build the network of the paper: 80 classes."""
    return YOLOv3(classes)
