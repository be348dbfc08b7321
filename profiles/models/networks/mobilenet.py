"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) and EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946)."""

from __future__ import annotations

from torch import Tensor, nn


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, activation: type[nn.Module]
) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), activation())


class SqueezeExcitation(nn.Module):
    """Scales channels by a gate computed from their means (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        gate = self.expand(nn.functional.silu(self.reduce(self.pool(x)), inplace=True))
        scaled: Tensor = x * gate.sigmoid()
        return scaled


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, optional squeeze and excitation, linear 1x1 projection."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        width = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_convolution(inputs, width, 1, 1, 1, activation))
        layers.append(_convolution(width, width, kernel, stride, width, activation))
        if activation is nn.SiLU:
            layers.append(SqueezeExcitation(width, max(1, inputs // 4)))
        layers.append(_convolution(width, outputs, 1, 1, 1, nn.Identity))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        output: Tensor = self.layers(x)
        return x + output if self.residual else output


# expansion, channels, blocks, stride, kernel of each stage
_V2_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
_B0_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def _network(
    stages: tuple[tuple[int, int, int, int, int], ...], activation: type[nn.Module], classes: int
) -> nn.Sequential:
    layers: list[nn.Module] = [_convolution(3, 32, 3, 2, 1, activation)]
    inputs = 32
    for expansion, outputs, blocks, first_stride, kernel in stages:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            layers.append(InvertedResidual(inputs, outputs, kernel, stride, expansion, activation))
            inputs = outputs
    layers.append(_convolution(inputs, 1280, 1, 1, 1, activation))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, classes))


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """Image [batch, 3, side, side] -> scores [batch, classes]."""
    return _network(_V2_STAGES, nn.ReLU6, classes)


def efficientnet_b0(classes: int = 1000) -> nn.Module:
    """Image [batch, 3, side, side] -> scores [batch, classes]."""
    return _network(_B0_STAGES, nn.SiLU, classes)
