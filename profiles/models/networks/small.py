"""The small networks people learn with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mnist_cnn() -> nn.Module:
    """Image [batch, 1, 28, 28] -> scores [batch, 10]; pytorch/examples, mnist/main.py."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def cifar10_cnn() -> nn.Module:
    """Image [batch, 3, 32, 32] -> scores [batch, 10]; PyTorch tutorial "Training a classifier"."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def lenet5() -> nn.Module:
    """Image [batch, 1, 32, 32] -> scores [batch, 10]; LeCun et al. 1998, with today's full connections and ReLU."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def mlp() -> nn.Module:
    """Image [batch, 1, 28, 28] -> scores [batch, 10], two hidden layers of 800 (Simard et al. 2003 used one of 800)."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 800), nn.ReLU(), nn.Linear(800, 800), nn.ReLU(), nn.Linear(800, 10)
    )


class VariationalAutoencoder(nn.Module):
    """Image [batch, 1, 28, 28] -> (rebuilt pixels [batch, 784], mean, log variance, each [batch, 20])."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run as the class says."""
        hidden = self.encoder(image)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        sample = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(sample), mean, log_variance


def variational_autoencoder() -> nn.Module:
    """The variational autoencoder of pytorch/examples, vae/main.py (Kingma and Welling 2014, arXiv 1312.6114)."""
    return VariationalAutoencoder()
