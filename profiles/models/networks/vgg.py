"""VGG networks (Simonyan and Zisserman 2015, arXiv 1409.1556, table 1) and AlexNet in one tower (arXiv 1404.5997)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def _classifier(features: int, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (features, 4096):
        layers += [nn.Linear(inputs, 4096), nn.ReLU(inplace=True), nn.Dropout()]
    return [*layers, nn.Linear(4096, classes)]


def vgg(convolutions: Sequence[int], classes: int = 1000) -> nn.Module:
    """Image [batch, 3, side, side] -> scores [batch, classes]; `convolutions` in each of five blocks."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), *_classifier(512 * 49, classes))


def alexnet(classes: int = 1000) -> nn.Module:
    """Image [batch, 3, side, side] -> scores [batch, classes]."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel, stride, padding, pool in (
        (3, 64, 11, 4, 2, True),
        (64, 192, 5, 1, 2, True),
        (192, 384, 3, 1, 1, False),
        (384, 256, 3, 1, 1, False),
        (256, 256, 3, 1, 1, True),
    ):
        layers += [nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding), nn.ReLU(inplace=True)]
        layers += [nn.MaxPool2d(3, stride=2)] if pool else []
    head: list[nn.Module] = [nn.AdaptiveAvgPool2d(6), nn.Flatten()]
    for inputs in (256 * 36, 4096):
        head += [nn.Dropout(), nn.Linear(inputs, 4096), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *head, nn.Linear(4096, classes))
