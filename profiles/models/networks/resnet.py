"""Residual networks (He et al. 2016, arXiv 1512.03385, table 1 and section 4.2).

The ImageNet bottleneck takes its stride in the 3x3 convolution ("v1.5"), as every framework's reference does today.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias followed by batch normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: [batch, inputs, h, w] -> [batch, width, h/stride, w/stride]."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 3, stride)
        self.conv2 = _convolution(width, width, 3)
        self.relu = nn.ReLU(inplace=True)
        changes = stride != 1 or inputs != width
        self.downsample = _convolution(inputs, width, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        residual = self.conv2(self.relu(self.conv1(x)))
        output: Tensor = self.relu(residual + self.downsample(x))
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut; puts out 4 x width channels."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = _convolution(inputs, width, 1)
        self.conv2 = _convolution(width, width, 3, stride)
        self.conv3 = _convolution(width, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        changes = stride != 1 or inputs != outputs
        self.downsample = _convolution(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        residual = self.conv3(self.relu(self.conv2(self.relu(self.conv1(x)))))
        output: Tensor = self.relu(residual + self.downsample(x))
        return output


class ResNet(nn.Module):
    """Image [batch, 3, side, side] -> class scores [batch, classes]; `blocks` in each of the four stages."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], blocks: Sequence[int], classes: int) -> None:
        super().__init__()
        self.stem = _convolution(3, 64, 7, 2)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.Sequential()
        inputs = 64
        for stage, count in enumerate(blocks):
            width = 64 * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            layers = []
            for stride in strides:
                layers.append(block(inputs, width, stride))
                inputs = width * block.expansion
            self.stages.append(nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        features = self.stages(self.pool(self.relu(self.stem(x))))
        scores: Tensor = self.fc(features.mean(dim=(2, 3)))
        return scores


class PaddedBlock(nn.Module):
    """CIFAR block whose shortcut has no parameters: subsampled, missing channels zero (option A of the paper)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 3, stride)
        self.conv2 = _convolution(width, width, 3)
        self.relu = nn.ReLU(inplace=True)
        self.stride = stride
        self.missing = width - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        shortcut = x
        if self.missing:
            shortcut = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
        output: Tensor = self.relu(self.conv2(self.relu(self.conv1(x))) + shortcut)
        return output


def imagenet(blocks: Sequence[int], bottleneck: bool, classes: int = 1000) -> nn.Module:
    """ResNet for ImageNet, e.g. blocks (3, 4, 6, 3) with bottlenecks for ResNet-50."""
    return ResNet(Bottleneck if bottleneck else BasicBlock, blocks, classes)


def cifar(blocks_per_stage: int, classes: int = 10) -> nn.Module:
    """6n + 2 layers on images [batch, 3, 32, 32]: stages of 16, 32 and 64 channels, n blocks each."""
    layers: list[nn.Module] = [_convolution(3, 16, 3), nn.ReLU(inplace=True)]
    inputs = 16
    for width, first_stride in ((16, 1), (32, 2), (64, 2)):
        for block in range(blocks_per_stage):
            layers.append(PaddedBlock(inputs, width, first_stride if block == 0 else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))
