"""Listen, Attend and Spell (Chan et al. 2015, arXiv 1508.01211, section 4): characters from log-mel frames.

Listener: one bidirectional LSTM and three pyramidal ones of 256 units a direction, each halving the time.
Speller: two LSTM layers of 512 units, one attention read of the listener's output per character.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Listener(nn.Module):
    """Frames [batch, time, mels] -> features [batch, time / 8, 2 x units]."""

    def __init__(self, mels: int, units: int) -> None:
        super().__init__()
        self.bottom = nn.LSTM(mels, units, batch_first=True, bidirectional=True)
        self.pyramid = nn.ModuleList(nn.LSTM(4 * units, units, batch_first=True, bidirectional=True) for _ in range(3))

    def forward(self, frames: Tensor) -> Tensor:
        """Run as the class says."""
        features: Tensor = self.bottom(frames)[0]
        for layer in self.pyramid:
            batch, time, width = features.shape
            features = layer(features.reshape(batch, time // 2, 2 * width))[0]
        return features


class Speller(nn.Module):
    """Listener features and characters [batch, length] -> scores [batch, length, characters]."""

    def __init__(self, characters: int, features: int, units: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, units)
        self.first = nn.LSTMCell(units + features, units)
        self.second = nn.LSTMCell(units, units)
        self.query = nn.Linear(units, units)
        self.key = nn.Linear(features, units)
        self.head = nn.Linear(units + features, characters)

    def forward(self, features: Tensor, characters: Tensor) -> Tensor:
        """Run as the class says."""
        embedded, keys = self.embedding(characters), self.key(features)
        context = features.new_zeros(features.shape[0], features.shape[2])
        lower: tuple[Tensor, Tensor] | None = None
        upper: tuple[Tensor, Tensor] | None = None
        scores = []
        for position in range(characters.shape[1]):
            lower = self.first(torch.cat((embedded[:, position], context), dim=-1), lower)
            upper = self.second(lower[0], upper)
            energy = torch.bmm(keys, self.query(upper[0]).unsqueeze(-1))
            context = torch.bmm(energy.softmax(dim=1).transpose(1, 2), features).squeeze(1)
            scores.append(self.head(torch.cat((upper[0], context), dim=-1)))
        return torch.stack(scores, dim=1)


class ListenAttendSpell(nn.Module):
    """Frames [batch, time, mels] and characters [batch, length] -> scores [batch, length, characters]."""

    def __init__(self, mels: int, characters: int, listener_units: int, speller_units: int) -> None:
        super().__init__()
        self.listener = Listener(mels, listener_units)
        self.speller = Speller(characters, 2 * listener_units, speller_units)

    def forward(self, frames: Tensor, characters: Tensor) -> Tensor:
        """Run as the class says."""
        scores: Tensor = self.speller(self.listener(frames), characters)
        return scores


def listen_attend_spell(mels: int, characters: int, listener_units: int, speller_units: int) -> nn.Module:
    """Build the model of the paper: 40 mels, 256 listener units a direction, 512 speller units."""
    return ListenAttendSpell(mels, characters, listener_units, speller_units)
