"""Which kind of model a text means, decided by its form alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hardware_db.errors import UsageError
from profiles.models import (
    declared,
    exported,
    files,
    huggingface,
    image_packages,
    keras_file,
    onnx_file,
    user_models,
    zoo,
)
from profiles.models.definition import ModelDefinition
from profiles.models.input_text import InputSpec

Resolver = Callable[[str, "Path | None"], ModelDefinition]

_PREFIXES: dict[str, Resolver] = {
    "hf": huggingface.resolve,
    "timm": image_packages.resolve_timm,
    "torchvision": image_packages.resolve_torchvision,
}
_SUFFIXES: dict[str, Resolver] = {
    ".json": huggingface.resolve,
    ".pt2": exported.resolve,
    ".onnx": onnx_file.resolve,
    ".keras": keras_file.resolve,
}


def resolve(spec: str, *, base: Path | None = None, inputs: Sequence[InputSpec] = ()) -> ModelDefinition:
    """Find the model that a text means; paths are relative to `base` (default: the working directory).

    `inputs` replaces what the model is fed with (see `parse_inputs`).

    Raises UnknownModel (no such name, file or function), ModelError (it cannot be read or built), UsageError
    (malformed) and MissingExtra (a package for this kind of model is not installed).

    >>> resolve("resnet50").image_size
    224
    """
    text = spec.strip()
    if not text:
        raise UsageError("No model was given. Names: flopcast models. Your own: path/to/file.py:function")
    prefix, colon, rest = text.partition(":")
    if colon and (prefix.endswith(".py") or _is_module(prefix)) and prefix not in _PREFIXES:
        return user_models.resolve(text, base, inputs)
    definition = _data(text, prefix if colon else "", rest, base)
    return user_models.with_inputs(definition, inputs) if inputs else definition


def _data(text: str, prefix: str, rest: str, base: Path | None) -> ModelDefinition:
    """Everything that is not the user's code."""
    if prefix in _PREFIXES:
        return _PREFIXES[prefix](rest, base)
    if text.startswith(("params=", "params =")):
        return declared.resolve(text, base)
    suffix = Path(text.partition("#")[0].partition(",")[0]).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix](text, base)
    files.refuse(text, suffix, base)
    return zoo.find(text)


def _is_module(prefix: str) -> bool:
    return all(part.isidentifier() for part in prefix.split("."))
