"""`model.keras`, and Keras 3 models that a user's factory returns: run on Keras's torch backend.

Keras keeps a device of its own. While a model runs here it is set to the device of the model's weights. On meta Keras
would cut the graph of gradients: it compares torch's device with the text "meta", finds them different and makes a new
tensor. `_Meta` is that text, equal to both.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import ModelError
from profiles.models.definition import ModelDefinition
from profiles.models.example_inputs import example
from profiles.models.files import digest, first_line, need
from profiles.models.input_text import InputSpec, arguments
from profiles.models.losses import model_loss
from profiles.models.placement import settle

if TYPE_CHECKING:
    import torch

_OPEN_SIZE = 224


def resolve(text: str, base: Path | None = None) -> ModelDefinition:
    """Read a `.keras` file, without running code it may hold. Raises UnknownModel, MissingExtra, ModelError."""
    need("keras", text, "keras")
    path = (base or Path()) / text
    fingerprint = f"keras {digest(path)}"
    given = functools.cache(lambda: example(arguments([input_spec(tensor) for tensor in _load(path, text).inputs])))
    return ModelDefinition(
        name=text,
        build=lambda: wrapped(_load(path, text)),
        inputs=lambda batch, sequence, image: given().at(batch, sequence),
        loss=model_loss,
        batch_size=given().batch_size,
        sequence_length=given().sequence_length,
        source=f"Keras model {path.name}",
        fingerprint=fingerprint,
    )


def choose_torch() -> None:
    """Ask Keras, if it is not imported yet, for its torch backend."""
    os.environ.setdefault("KERAS_BACKEND", "torch")


def is_keras(model: Any) -> bool:
    """Whether a model is one of Keras."""
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__)


def _load(path: Path, text: str) -> Any:
    choose_torch()
    import keras
    import torch

    check_backend(text)
    try:
        with keras.device(torch.get_default_device().type):
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ModelError(f"{text} cannot be read by Keras: {first_line(error)}") from error


def check_backend(text: str) -> None:
    """Raise ModelError where Keras runs on something else than torch."""
    backend = sys.modules["keras"].backend.backend()
    if backend != "torch":
        raise ModelError(f"{text} runs on Keras's {backend} backend. Set KERAS_BACKEND=torch and try again")


def input_spec(tensor: Any) -> InputSpec:
    """Shape and type of one input of a Keras model: batch 1, 224 where a size is left open."""
    sizes = (size or (_OPEN_SIZE if index else 1) for index, size in enumerate(tensor.shape))
    return InputSpec(tuple(sizes), tensor.dtype)


def wrapped(model: Any) -> torch.nn.Module:
    """Make a module that runs the Keras model where its weights are, in training or inference as the module says."""
    import torch

    class KerasModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            inputs = args[0] if len(args) == 1 else list(args)
            with _on(next(self.model.parameters()).device):
                return self.model(inputs, training=self.training, **kwargs)

    return _settled(KerasModel())


def _settled(module: torch.nn.Module) -> torch.nn.Module:
    """Put the weights where torch's default device is, and let Keras's variables know their new tensors."""
    places = {
        id(tensor): (owner._parameters, name)
        for owner in module.modules()
        for name, tensor in owner._parameters.items()
        if tensor is not None
    }
    settle(module)
    keras_model: Any = module.model
    for variable in keras_model.variables:
        table, name = places.get(id(variable._value), (None, ""))
        if table is not None:
            variable._value = table[name]
    return module


class _Meta(str):
    """The text "meta", also equal to torch's meta device."""

    def __eq__(self, other: object) -> bool:
        return str(other) == "meta"

    def __ne__(self, other: object) -> bool:
        return str(other) != "meta"

    def __hash__(self) -> int:
        return hash("meta")


@contextmanager
def _on(device: torch.device) -> Iterator[None]:
    from keras.src.backend.common import global_state

    before = global_state.get_global_attribute("torch_device", None)
    global_state.set_global_attribute("torch_device", _Meta("meta") if device.type == "meta" else device.type)
    try:
        yield
    finally:
        global_state.set_global_attribute("torch_device", before)
