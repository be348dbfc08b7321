"""What is freed where a loss over many classes is computed for a part of the tokens at a time.

The gradient of a part's scores takes the place of the scores at once; of all else that the loss needs (a copy in
float32, log-softmax, gradients of both), only a part is ever alive. This is what torchtune's CEWithChunkedOutputLoss
and Liger's fused linear cross entropy (Hsu et al., 2024, arXiv:2410.10989) do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.memory.moments import BACKWARD, FORWARD, Outline

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

CHUNKS: Final = 8
"""Parts of the tokens (torchtune, CEWithChunkedOutputLoss, num_output_chunks)."""


def freed_by_chunks(profile: ModelProfile, outline: Outline, activations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much less is alive at each moment; zero where the loss is no moment of its own.

    Parameters
    ----------
    profile
        at the size wanted
    outline
        phases and modules of the moments
    activations
        (moments,) bytes of activations without chunks
    """
    freed = np.zeros_like(activations)
    span = _loss_moments(outline)
    if not len(span) or span[0] == 0:
        return freed
    head = int(span[0]) - 1
    scores = profile.trace.activation_bytes.get(outline.modules[head], 0)
    limit = activations[head] + scores + (activations[span] - activations[head]) / CHUNKS
    freed[span] = np.maximum(activations[span] - limit, 0.0)
    return freed


def _loss_moments(outline: Outline) -> NDArray[np.intp]:
    """Return the moments between the model's last module forward and its first backward: those of the loss."""
    named = np.array([bool(module) for module in outline.modules])
    forward = np.flatnonzero(named & (outline.phases == FORWARD))
    backward = np.flatnonzero(named & (outline.phases == BACKWARD))
    if not len(forward) or not len(backward):
        return np.zeros(0, dtype=np.intp)
    return np.arange(forward[-1] + 1, backward[0])
