"""DCGAN (Radford et al. 2016, arXiv 1511.06434), sizes of pytorch/examples dcgan/main.py, with its training step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


def _generator(noise: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = noise
    for index, factor in enumerate((8, 4, 2, 1)):
        stride, padding = (1, 0) if index == 0 else (2, 1)
        layers += [nn.ConvTranspose2d(inputs, factor * width, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(factor * width), nn.ReLU(inplace=True)]
        inputs = factor * width
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())


def _discriminator(width: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for factor in (1, 2, 4):
        layers += [nn.Conv2d(factor * width, 2 * factor * width, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(2 * factor * width), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False), nn.Flatten(0))


class AdversarialPair(nn.Module):
    """Generator and discriminator; forward is what is used after training: noise -> images [batch, 3, 64, 64]."""

    def __init__(self, noise: int = 100, width: int = 64) -> None:
        super().__init__()
        self.generator = _generator(noise, width)
        self.discriminator = _discriminator(width)

    def forward(self, noise: Tensor, images: Tensor | None = None) -> Tensor:
        """Run as the class says."""
        fakes: Tensor = self.generator(noise)
        return fakes


def _judged(scores: Tensor, real: bool) -> Tensor:
    targets = torch.ones_like(scores) if real else torch.zeros_like(scores)
    return nn.functional.binary_cross_entropy_with_logits(scores, targets)


def step(model: AdversarialPair, noise: Tensor, images: Tensor) -> Iterator[tuple[Tensor, Iterable[nn.Parameter]]]:
    """Train the discriminator on real and fake images, then the generator through the discriminator."""
    fakes = model.generator(noise)
    seen = _judged(model.discriminator(images), True) + _judged(model.discriminator(fakes.detach()), False)
    yield seen, model.discriminator.parameters()
    yield _judged(model.discriminator(fakes), True), model.generator.parameters()


def dcgan() -> nn.Module:
    """Build the pair for images of 64 x 64."""
    return AdversarialPair()
