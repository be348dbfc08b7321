"""Recommenders: neural matrix factorisation and DLRM; most parameters lie in tables of which a sample meets a row.

He et al. 2017, Neural collaborative filtering, arXiv 1708.05031, section 3.4; Naumov et al. 2019, DLRM, arXiv
1906.00091, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def _stack(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())))


class NeuralFactorisation(nn.Module):
    """Ids of users and items, each [batch] -> one raw score [batch, 1]."""

    def __init__(self, users: int, items: int, factors: int, widths: Sequence[int]) -> None:
        super().__init__()
        half = widths[0] // 2
        self.user_factors, self.item_factors = nn.Embedding(users, factors), nn.Embedding(items, factors)
        self.user_features, self.item_features = nn.Embedding(users, half), nn.Embedding(items, half)
        self.layers = _stack(widths)
        self.head = nn.Linear(factors + widths[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Run as the class says."""
        product = self.user_factors(users) * self.item_factors(items)
        deep = self.layers(torch.cat((self.user_features(users), self.item_features(items)), dim=-1))
        score: Tensor = self.head(torch.cat((product, deep), dim=-1))
        return score


class ClickModel(nn.Module):
    """Numbers [batch, dense] and one id per table [batch, tables] -> one raw score [batch, 1]."""

    def __init__(self, rows: Sequence[int], bottom: Sequence[int], top: Sequence[int]) -> None:
        super().__init__()
        width, features = bottom[-1], len(rows) + 1
        self.tables = nn.ModuleList(nn.EmbeddingBag(count, width, mode="sum") for count in rows)
        self.bottom = _stack(bottom)
        self.top = nn.Sequential(*_stack((width + features * (features - 1) // 2, *top)), nn.Linear(top[-1], 1))

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        """Run as the class says."""
        dense = self.bottom(numbers)
        looked_up = [table(ids[:, index : index + 1]) for index, table in enumerate(self.tables)]
        vectors = torch.stack((dense, *looked_up), dim=1)
        products = vectors @ vectors.transpose(1, 2)
        count = vectors.shape[1]
        pairs = torch.tril_indices(count, count, offset=-1, device=vectors.device)
        score: Tensor = self.top(torch.cat((dense, products[:, pairs[0], pairs[1]]), dim=1))
        return score


def neural_factorisation(users: int, items: int, factors: int, widths: Sequence[int]) -> nn.Module:
    """Neural matrix factorisation of `users` and `items`; `widths` of its layers, the input first."""
    return NeuralFactorisation(users, items, factors, widths)


def click_model(rows: Sequence[int], bottom: Sequence[int], top: Sequence[int]) -> nn.Module:
    """DLRM with one table of each of `rows`; widths of the layers below (input first) and above the interaction."""
    return ClickModel(rows, bottom, top)
