"""Google's translation LSTM (Wu et al. 2016, arXiv 1609.08144) in the form of MLPerf Training v0.5 to v0.7 (GNMT v2).

Four layers each side, the first of the encoder in both directions; normalised additive attention (Bahdanau et al. 2015,
arXiv 1409.0473) between the first layer of the decoder and all others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _lstm(inputs: int, hidden: int, both_ways: bool = False) -> nn.LSTM:
    return nn.LSTM(inputs, hidden, batch_first=True, bidirectional=both_ways)


class Attention(nn.Module):
    """Queries [batch, target, hidden] over keys [batch, source, hidden] -> context [batch, target, hidden]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.direction = nn.Parameter(torch.empty(hidden))
        self.length, self.bias = nn.Parameter(torch.empty(1)), nn.Parameter(torch.empty(hidden))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Run as the class says."""
        pairs = self.query(queries).unsqueeze(2) + self.key(keys).unsqueeze(1) + self.bias
        weight = self.direction / self.direction.norm() * self.length
        scores = torch.tanh(pairs).matmul(weight)
        return torch.bmm(scores.softmax(dim=-1), keys)


class Encoder(nn.Module):
    """Embedded source [batch, source, hidden] -> the same shape."""

    def __init__(self, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.both_ways, self.second = _lstm(hidden, hidden, both_ways=True), _lstm(2 * hidden, hidden)
        self.rest = nn.ModuleList(_lstm(hidden, hidden) for _ in range(layers - 2))

    def forward(self, x: Tensor) -> Tensor:
        """Run as the class says."""
        x = self.both_ways(self.dropout(x))[0]
        x = self.second(self.dropout(x))[0]
        for layer in self.rest:
            x = x + layer(self.dropout(x))[0]
        return x


class Decoder(nn.Module):
    """Embedded target [batch, target, hidden] and the encoder's output -> [batch, target, hidden]."""

    def __init__(self, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.attention = nn.Dropout(dropout), Attention(hidden)
        self.first = _lstm(hidden, hidden)
        self.rest = nn.ModuleList(_lstm(2 * hidden, hidden) for _ in range(layers - 1))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Run as the class says."""
        x = self.first(self.dropout(x))[0]
        context = self.attention(x, memory)
        for index, layer in enumerate(self.rest):
            output = layer(torch.cat((self.dropout(x), context), dim=-1))[0]
            x = output if index == 0 else x + output
        return x


class GNMT(nn.Module):
    """Source ids and target ids, both [batch, sequence] -> scores [batch, sequence, vocabulary]; one embedding."""

    def __init__(self, vocabulary: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.encoder, self.decoder = Encoder(hidden, layers, dropout), Decoder(hidden, layers, dropout)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Run as the class says."""
        memory = self.encoder(self.embedding(source))
        scores: Tensor = self.head(self.decoder(self.embedding(target), memory))
        return scores


def gnmt(vocabulary: int, hidden: int, layers: int, dropout: float) -> nn.Module:
    """Build e.g. MLPerf's: vocabulary 32,320, hidden 1024, 4 layers, dropout 0.2."""
    return GNMT(vocabulary, hidden, layers, dropout)
