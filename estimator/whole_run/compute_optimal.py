"""How many tokens a language model of a size is best trained on for the operations that this takes."""

from __future__ import annotations

from typing import Final

TOKENS_PER_PARAMETER: Final = 20.0
SOURCE: Final = 'about 20 tokens a parameter: Hoffmann et al., 2022, "Chinchilla", arXiv:2203.15556, table 3'


def compute_optimal_tokens(parameters: int) -> float:
    """Return the compute-optimal tokens of a language model with so many parameters, embeddings included.

    Examples
    --------
    >>> compute_optimal_tokens(70_000_000_000)
    1400000000000.0
    """
    return TOKENS_PER_PARAMETER * parameters
