"""Recurrent networks: a sentiment classifier and a word-level language model."""

from __future__ import annotations

from torch import Tensor, nn


class SentimentLSTM(nn.Module):
    """Token ids [batch, sequence] -> one raw score [batch, 1]; the last hidden state is classified."""

    def __init__(self, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """Run as the class says."""
        outputs, _ = self.lstm(self.embedding(ids))
        score: Tensor = self.head(outputs[:, -1])
        return score


class RecurrentLanguageModel(nn.Module):
    """Token ids [batch, sequence] -> scores [batch, sequence, vocabulary]."""

    def __init__(self, vocabulary: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True, dropout=dropout)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        """Run as the class says."""
        outputs, _ = self.lstm(self.dropout(self.embedding(ids)))
        scores: Tensor = self.head(self.dropout(outputs))
        return scores


def sentiment_lstm(vocabulary: int, hidden: int) -> nn.Module:
    """Build the IMDB classifier."""
    return SentimentLSTM(vocabulary, hidden)


def language_model(vocabulary: int, hidden: int, layers: int, dropout: float) -> nn.Module:
    """Build the Penn Treebank language model."""
    return RecurrentLanguageModel(vocabulary, hidden, layers, dropout)
