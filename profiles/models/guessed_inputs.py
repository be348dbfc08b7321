"""A first input for a user's own module, guessed from its first layer. What was guessed is always said."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError
from profiles.models import keras_file
from profiles.models.input_text import InputSpec

if TYPE_CHECKING:
    import torch

GUESSED_SEQUENCE = 128
GUESSED_IMAGE = 224


def guess(module: torch.nn.Module, name: str) -> InputSpec:
    """Return the one input that the first layer with parameters takes, batch 1.

    Raises UsageError where the forward needs several inputs or the first layer is of no known kind.
    """
    written = _keras_input(module)
    if written is not None:
        return written
    required = [
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (0, 1, 3)
    ]
    if len(required) > 1:
        raise UsageError(
            f"{name} needs {len(required)} inputs: {', '.join(required)}. "
            f"Give them: {' '.join(f'--input {argument}=8x128' for argument in required)}, or return (module, inputs)"
        )
    for layer in module.modules():
        spec = _first_input(layer)
        if spec is not None:
            return spec
    raise UsageError(f"Cannot tell what {name} takes. Give its input: --input 8x3x224x224 or --input int64:8x1024")


def _keras_input(module: Any) -> InputSpec | None:
    """Input of a Keras model that was built with one."""
    tensors = getattr(getattr(module, "model", None), "inputs", None)
    if not keras_file.is_keras(getattr(module, "model", None)) or not tensors or len(tensors) > 1:
        return None
    return keras_file.input_spec(tensors[0])


def _first_input(layer: Any) -> InputSpec | None:
    import torch.nn as nn

    side = GUESSED_IMAGE
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return InputSpec((1, GUESSED_SEQUENCE), "int64")
    if isinstance(layer, nn.Conv1d):
        return InputSpec((1, layer.in_channels, GUESSED_SEQUENCE))
    if isinstance(layer, nn.Conv2d):
        return InputSpec((1, layer.in_channels, side, side))
    if isinstance(layer, (nn.LSTM, nn.GRU, nn.RNN)):
        shape = (1, GUESSED_SEQUENCE) if layer.batch_first else (GUESSED_SEQUENCE, 1)
        return InputSpec((*shape, layer.input_size))
    if isinstance(layer, nn.Linear):
        return InputSpec((1, layer.in_features))
    if isinstance(layer, (nn.TransformerEncoderLayer, nn.MultiheadAttention)):
        return InputSpec((1, GUESSED_SEQUENCE, _width(layer)))
    return None


def _width(layer: Any) -> int:
    attention = getattr(layer, "self_attn", layer)
    return int(attention.embed_dim)
