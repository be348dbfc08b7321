"""What a user's file looks like."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 8)
        self.head = nn.Linear(8, 100)

    def forward(self, ids, targets=None):
        scores = self.head(self.embedding(ids))
        if targets is None:
            return scores
        return {"loss": nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten()), "scores": scores}


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, left, right):
        return self.second(self.first(left)) + right


def plain():
    return Net()


def with_inputs():
    ids = torch.randint(100, (4, 16))
    return Net(), {"ids": ids, "targets": ids}


def with_step():
    def step(model, left, right):
        yield model.first(left).square().mean(), model.first.parameters()
        yield model(left, right).square().mean(), model.second.parameters()

    return Pair(), (torch.rand(5, 4), torch.rand(5, 2)), step


def with_loss_function():
    return Pair(), (torch.rand(5, 4), torch.rand(5, 2)), lambda model, left, right: model(left, right).sum()


def convolution():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 222 * 222, 10))


def two_inputs():
    return Pair()


def reads_values():
    rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]
    return nn.Sequential(nn.Linear(6, 6), nn.Dropout(rates[-1]))


def returns_dict():
    return {"model": Net()}


def needs_config(config):
    return Net()


def fails():
    raise ValueError("hidden size must be even")


def _private():
    return Net()
