"""Fourteen small models of different kinds, each with inputs: what `cpu_steps.py` trains for a few steps.

Each function is a MODEL for the command line: flopcast profile benchmarks/cpu_models.py:gru
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import torch
from torch import nn

Made = tuple[nn.Module, Any]


def ids(highest: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, highest, shape, device="cpu", generator=torch.Generator("cpu").manual_seed(0))


def mlp() -> Made:
    layers = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*layers), torch.randn(128, 784)


def cnn() -> Made:
    layers: list[nn.Module] = []
    for inside, outside in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10)), torch.randn(32, 3, 32, 32)


class LastState(nn.Module):
    """A recurrent network over embedded tokens; scores from its last output."""

    def __init__(self, kind: type[nn.RNNBase], vocabulary: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, size)
        self.layers = kind(size, size, num_layers=2, batch_first=True)
        self.head = nn.Linear(size, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.head(self.layers(self.embedding(tokens))[0])


def lstm() -> Made:
    return LastState(nn.LSTM, 2000, 256), ids(2000, 16, 32)


def gru() -> Made:
    return LastState(nn.GRU, 1000, 192), ids(1000, 16, 24)


class Tokens(nn.Module):
    """A stack of transformer layers over embedded tokens."""

    def __init__(self, vocabulary: int, size: int, heads: int, layers: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, size)
        self.positions = nn.Parameter(torch.zeros(length, size))
        layer = nn.TransformerEncoderLayer(size, heads, 4 * size, dropout=0.0, batch_first=True)
        self.stack = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(size, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.head(self.stack(self.embedding(tokens) + self.positions))


def encoder() -> Made:
    return Tokens(4000, 256, 4, 4, 64), ids(4000, 8, 64)


class Patches(nn.Module):
    """A vision transformer: patches, transformer layers before which is normalised, mean, scores."""

    def __init__(self, side: int, patch: int, size: int, heads: int, layers: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, size, patch, patch)
        self.positions = nn.Parameter(torch.zeros((side // patch) ** 2, size))
        layer = nn.TransformerEncoderLayer(size, heads, 4 * size, 0.0, "gelu", batch_first=True, norm_first=True)
        self.stack = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(size, 100)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.stack(tokens).mean(1))


def vit() -> Made:
    return Patches(96, 16, 192, 3, 6), torch.randn(8, 3, 96, 96)


def convolved(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for first in (inside, outside):
        layers += [nn.Conv2d(first, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*layers)


class SmallUnet(nn.Module):
    """Two levels down and up again, with skip connections."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([convolved(3, width), convolved(width, 2 * width)])
        self.middle = convolved(2 * width, 4 * width)
        self.rise = nn.ModuleList(
            [nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 2, 2)]
        )
        self.up = nn.ModuleList([convolved(4 * width, 2 * width), convolved(2 * width, width)])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        kept, values = [], images
        for block in self.down:
            kept.append(block(values))
            values = nn.functional.max_pool2d(kept[-1], 2)
        values = self.middle(values)
        for rise, block, skip in zip(self.rise, self.up, reversed(kept), strict=True):
            values = block(torch.cat((skip, rise(values)), 1))
        return self.head(values)


def unet() -> Made:
    return SmallUnet(24), torch.randn(2, 3, 96, 96)


class MixerLayer(nn.Module):
    """Products over the tokens, then over the channels."""

    def __init__(self, tokens: int, size: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(size), nn.LayerNorm(size)])
        self.tokens = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU(), nn.Linear(2 * tokens, tokens))
        self.channels = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        values = values + self.tokens(self.norms[0](values).transpose(1, 2)).transpose(1, 2)
        return values + self.channels(self.norms[1](values))


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601)."""

    def __init__(self, side: int, patch: int, size: int, layers: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, size, patch, patch)
        self.layers = nn.Sequential(*(MixerLayer((side // patch) ** 2, size) for _ in range(layers)))
        self.head = nn.Linear(size, 100)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.head(self.layers(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


def mixer() -> Made:
    return Mixer(64, 8, 256, 6), torch.randn(16, 3, 64, 64)


class Recommender(nn.Module):
    """Tables of embeddings and a small network (Naumov et al. 2019, DLRM, arXiv 1906.00091)."""

    def __init__(self, tables: int, rows: int, size: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(rows, size) for _ in range(tables)])
        self.bottom = nn.Sequential(nn.Linear(13, 256), nn.ReLU(), nn.Linear(256, size), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(size + (tables + 1) ** 2, 256), nn.ReLU(), nn.Linear(256, 1))

    def forward(self, figures: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        dense = self.bottom(figures)
        rows = [table(column) for table, column in zip(self.tables, chosen.unbind(1), strict=True)]
        features = torch.stack([dense, *rows], 1)
        pairs = torch.bmm(features, features.transpose(1, 2)).flatten(1)
        return self.top(torch.cat((dense, pairs), 1))


def dlrm() -> Made:
    return Recommender(8, 20000, 64), (torch.randn(512, 13), ids(20000, 512, 8))


def autoencoder() -> Made:
    sizes = (784, 512, 128, 32, 128, 512, 784)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inside, outside) in enumerate(pairwise(sizes)):
        layers[f"linear{number}"] = nn.Linear(inside, outside)
        if number < len(sizes) - 2:
            layers[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(layers), torch.randn(256, 784)
