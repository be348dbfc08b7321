"""The recurrent transducer for speech (Graves 2012, arXiv 1211.3711) in the form of MLPerf Training v1.0 (RNN-T).

Five LSTM layers hear, with pairs of frames put together after the second; two LSTM layers read what was written; every
pair of a frame and a place in the text is judged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Transducer(nn.Module):
    """Frames [batch, time, mels] and pieces [batch, length] -> scores [batch, time / 2, length + 1, pieces + blank]."""

    def __init__(self, mels: int, characters: int, heard: int, read: int, joined: int) -> None:
        super().__init__()
        self.hear = nn.LSTM(mels, heard, 2, batch_first=True, dropout=0.1)
        self.hear_pairs = nn.LSTM(2 * heard, heard, 3, batch_first=True, dropout=0.1)
        self.embedding = nn.Embedding(characters, read)
        self.read = nn.LSTM(read, read, 2, batch_first=True, dropout=0.3)
        self.join_heard, self.join_read = nn.Linear(heard, joined), nn.Linear(read, joined)
        self.judge = nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(joined, characters + 1))

    def forward(self, frames: Tensor, pieces: Tensor) -> Tensor:
        """Run as the class says."""
        batch, time, _ = frames.shape
        heard = self.hear_pairs(self.hear(frames)[0].reshape(batch, time // 2, -1))[0]
        embedded = self.embedding(pieces)
        start = embedded.new_zeros(batch, 1, embedded.shape[-1])
        read = self.read(torch.cat((start, embedded), dim=1))[0]
        pairs = self.join_heard(heard).unsqueeze(2) + self.join_read(read).unsqueeze(1)
        scores: Tensor = self.judge(pairs)
        return scores


def transducer(mels: int, characters: int, heard: int, read: int, joined: int) -> nn.Module:
    """Build e.g. MLPerf's: three frames of 80 mels, 1,023 pieces, 1024 and 512 units, 512 joined."""
    return Transducer(mels, characters, heard, read, joined)
