"""SSD300 on VGG-16 (Liu et al. 2016, arXiv 1512.02325, figure 2 and section 3): six scales, 8,732 default boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Channels of the six feature maps, and default boxes at each of their places.
WIDTHS = (512, 1024, 512, 256, 256, 256)
BOXES = (4, 6, 6, 6, 4, 4)


def _convolutions(inputs: int, outputs: int, count: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index in range(count):
        layers += [nn.Conv2d(inputs if index == 0 else outputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return layers


def _extra(inputs: int, width: int, outputs: int, stride: int, padding: int) -> nn.Sequential:
    narrow = [nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*narrow, nn.Conv2d(width, outputs, 3, stride, padding), nn.ReLU(inplace=True))


class SSD(nn.Module):
    """Image [batch, 3, 300, 300] -> (class scores [batch, 8732, classes], box offsets [batch, 8732, 4])."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        halve = nn.MaxPool2d(2)
        self.fine = nn.Sequential(
            *_convolutions(3, 64, 2),
            halve,
            *_convolutions(64, 128, 2),
            halve,
            *_convolutions(128, 256, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolutions(256, 512, 3),
        )
        self.scale = nn.Parameter(torch.full((512,), 20.0))
        dilated = [nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU(inplace=True)]
        pointwise = [nn.Conv2d(1024, 1024, 1), nn.ReLU(inplace=True)]
        last = [nn.MaxPool2d(3, 1, 1), *dilated, *pointwise]
        self.coarser = nn.ModuleList(
            (
                nn.Sequential(halve, *_convolutions(512, 512, 3), *last),
                _extra(1024, 256, 512, stride=2, padding=1),
                _extra(512, 128, 256, stride=2, padding=1),
                _extra(256, 128, 256, stride=1, padding=0),
                _extra(256, 128, 256, stride=1, padding=0),
            )
        )
        self.score = nn.ModuleList(nn.Conv2d(w, b * classes, 3, padding=1) for w, b in zip(WIDTHS, BOXES, strict=True))
        self.place = nn.ModuleList(nn.Conv2d(w, b * 4, 3, padding=1) for w, b in zip(WIDTHS, BOXES, strict=True))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run as the class says."""
        x = self.fine(image)
        maps = [self.scale.view(1, -1, 1, 1) * nn.functional.normalize(x)]
        for layer in self.coarser:
            x = layer(x)
            maps.append(x)
        scores = [_rows(layer(each), self.classes) for layer, each in zip(self.score, maps, strict=True)]
        places = [_rows(layer(each), 4) for layer, each in zip(self.place, maps, strict=True)]
        return torch.cat(scores, dim=1), torch.cat(places, dim=1)


def _rows(found: Tensor, columns: int) -> Tensor:
    """[batch, boxes x columns, h, w] -> [batch, h x w x boxes, columns]."""
    return found.movedim(1, -1).reshape(found.shape[0], -1, columns)


def ssd300(classes: int) -> nn.Module:
    """Build the network for COCO in torchvision's numbering: 91 classes."""
    return SSD(classes)
