"""The encoder-decoder transformer (Vaswani et al. 2017, arXiv 1706.03762, table 3), post-norm, one shared embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def _positions(length: int, hidden: int, like: Tensor) -> Tensor:
    """Return the sinusoids of section 3.5, [length, hidden]."""
    steps = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, hidden, 2, device=like.device) * (-math.log(10_000.0) / hidden))
    angles = steps * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like.dtype)


class Transformer(nn.Module):
    """Source ids and target ids, both [batch, sequence] -> scores [batch, sequence, vocabulary]."""

    def __init__(self, vocabulary: int, hidden: int, layers: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.dropout = nn.Dropout(dropout)
        encoder = nn.TransformerEncoderLayer(hidden, heads, mlp, dropout, batch_first=True)
        decoder = nn.TransformerDecoderLayer(hidden, heads, mlp, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(encoder, layers, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder, layers)

    def _embed(self, ids: Tensor) -> Tensor:
        embedded = self.embedding(ids) * math.sqrt(self.hidden)
        result: Tensor = self.dropout(embedded + _positions(ids.shape[1], self.hidden, embedded))
        return result

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Run as the class says."""
        memory = self.encoder(self._embed(source))
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1], device=memory.device, dtype=memory.dtype)
        decoded = self.decoder(self._embed(target), memory, tgt_mask=mask, tgt_is_causal=True)
        return nn.functional.linear(decoded, self.embedding.weight)


def transformer(vocabulary: int, hidden: int, layers: int, heads: int, mlp: int, dropout: float) -> nn.Module:
    """Build e.g. the base model: hidden 512, 6 layers, 8 heads, mlp 2048."""
    return Transformer(vocabulary, hidden, layers, heads, mlp, dropout)
