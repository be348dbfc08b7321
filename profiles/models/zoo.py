"""The models that have a name here: our own networks and bundled Hugging Face configurations. All work offline."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UnknownModel, UsageError
from profiles import lean_imports
from profiles.models import huggingface, package_names
from profiles.models.definition import Depth, ModelDefinition
from profiles.models.hf_spec import parse
from profiles.models.hf_tables import Head
from profiles.models.suggest import did_you_mean
from profiles.models.tasks import TASKS
from profiles.models.zoo_entry import NetworkEntry
from profiles.models.zoo_networks import NETWORKS

if TYPE_CHECKING:
    import torch

# Other spellings of the same model.
ALIASES = {
    "resnet-50": "resnet50",
    "bert-base-uncased": "bert-base",
    "bert-large-uncased": "bert-large",
    "vit_b_16": "vit-b-16",
    "vit_l_16": "vit-l-16",
    "mobilenet_v2": "mobilenet-v2",
    "mobilenetv2": "mobilenet-v2",
    "efficientnet_b0": "efficientnet-b0",
    "cifar10-resnet": "cifar10-resnet20",
    "gpt2-small": "gpt2",
    "gpt3": "gpt3-175b",
    "llama-3-70b": "llama-3.1-70b",
    "gpt3-small": "gpt3-125m",
    "gpt3-medium": "gpt3-350m",
    "gpt3-large": "gpt3-760m",
    "gpt3-xl": "gpt3-1.3b",
    "mt-nlg-530b": "megatron-530b",
    "llama2-7b": "llama-2-7b",
    "llama2-13b": "llama-2-13b",
    "llama2-70b": "llama-2-70b",
    "llama3-8b": "llama-3-8b",
    "llama3.1-8b": "llama-3.1-8b",
    "llama3.1-70b": "llama-3.1-70b",
    "llama3.1-405b": "llama-3.1-405b",
    "llama-3.3-70b": "llama-3.1-70b",
    "bloom": "bloom-176b",
    "flan-t5-small": "t5-v1.1-small",
    "flan-t5-base": "t5-v1.1-base",
    "flan-t5-large": "t5-v1.1-large",
    "flan-t5-xl": "t5-v1.1-xl",
    "flan-t5-xxl": "t5-v1.1-xxl",
    "rnn-lm": "lstm-lm",
    "listen-attend-spell": "las",
    "rnnt": "rnn-t",
    "3d-unet": "unet3d",
    "unet-3d": "unet3d",
    "yolo-v3": "yolov3",
    "ssd": "ssd300",
    "ssd300-vgg16": "ssd300",
    "sdxl": "sdxl-unet",
    "stable-diffusion-xl-unet": "sdxl-unet",
    "stable-diffusion": "stable-diffusion-unet",
    "sd-unet": "stable-diffusion-unet",
}


@dataclass(frozen=True, slots=True)
class ModelName:
    """One row of the list of names: what it is and how many parameters it has as published."""

    name: str
    task: str
    parameters: int
    batch_size: int
    sequence_length: int | None
    image_size: int | None
    source: str


@dataclass(frozen=True, slots=True)
class ConfigurationEntry:
    """A name whose model transformers builds: `specification` is what follows "hf:", `head` the class it means."""

    name: str
    specification: str
    head: Head
    parameters: int
    source: str
    sequence_length: int | None
    image_size: int | None


@functools.cache
def configurations() -> dict[str, ConfigurationEntry]:
    """Read zoo_huggingface.csv, one entry a row."""
    with files("profiles.models").joinpath("zoo_huggingface.csv").open(encoding="utf-8") as file:
        return {row["name"]: _entry(row) for row in csv.DictReader(file)}


def _entry(row: dict[str, str]) -> ConfigurationEntry:
    sequence, image = row["sequence_length"], row["image_size"]
    return ConfigurationEntry(
        row["name"],
        row["specification"],
        Head(row["class"], row["task"]),
        int(row["parameters"]),
        row["source"],
        int(sequence) if sequence else None,
        int(image) if image else None,
    )


def names() -> tuple[ModelName, ...]:
    """All names, our own networks first. Needs neither torch nor transformers."""
    own = tuple(
        ModelName(e.name, e.task, e.parameters, e.batch_size, e.sequence_length, e.image_size, e.source)
        for e in NETWORKS
    )
    return own + tuple(
        ModelName(e.name, _TASKS[e.head.task], e.parameters, 1, e.sequence_length, e.image_size, e.source)
        for e in configurations().values()
    )


# Task tables of transformers in plain words.
_TASKS = {
    "CAUSAL_LM": "language modelling",
    "PRETRAINING": "detection of replaced tokens",
    "SEQUENCE_CLASSIFICATION": "text classification",
    "MASKED_LM": "masked language modelling",
    "SEQ_TO_SEQ_CAUSAL_LM": "text to text",
    "SPEECH_SEQ_2_SEQ": "speech recognition",
    "CTC": "speech recognition",
    "IMAGE_CLASSIFICATION": "image classification",
    "ZERO_SHOT_IMAGE_CLASSIFICATION": "image and text matching",
}


def exact_name(name: str) -> str:
    """Return the name of a model under which it is listed and its profile is shipped: "resnet50" for "resnet-50"."""
    return ALIASES.get(name, name)


def find(text: str) -> ModelDefinition:
    """Look up "NAME" or, of those that transformers builds, "NAME,key=value,...".

    Raises UnknownModel with the nearest names, UsageError for options of a network that has none.
    """
    name, comma, options = text.partition(",")
    exact = exact_name(name)
    for entry in NETWORKS:
        if entry.name == exact and comma:
            raise UsageError(f"{name} takes no options; {options!r} was given. Names that transformers builds do")
        if entry.name == exact:
            return _network(entry)
    found = configurations().get(exact)
    if found is None:
        known = [*configurations(), *(entry.name for entry in NETWORKS), *ALIASES]
        elsewhere = ", ".join(_elsewhere(name))
        near = f" Did you mean {elsewhere}?" if elsewhere else did_you_mean(name, known)
        raise UnknownModel(f"No model {name!r}.{near} Names: flopcast models. Your own: path/to/file.py:function")
    spec = dataclasses.replace(parse(found.specification + comma + options, None), published=True)
    shown = found.name + comma + options
    definition = huggingface.define(spec, found.head, shown, found.sequence_length)
    source = f"{found.source}, changed: {options}" if comma else found.source
    return dataclasses.replace(definition, image_size=found.image_size, source=source)


def _elsewhere(name: str) -> list[str]:
    """How a name is written that torchvision or timm has, where they are installed."""
    return [f"{package}:{name}" for package in ("torchvision", "timm") if package_names.has(package, name)]


_BUILT_FOR_ONE_SIDE = ("vit:vision_transformer",)


def _resized(entry: NetworkEntry) -> Callable[[int], ModelDefinition] | None:
    """Networks that have an embedding for each place in the image are built for images of one side."""
    if entry.factory not in _BUILT_FOR_ONE_SIDE:
        return None
    return lambda side: _network(
        dataclasses.replace(entry, dimensions={**entry.dimensions, "image_size": side}, image_size=side)
    )


def _network(entry: NetworkEntry, **changed: Any) -> ModelDefinition:
    task, dimensions = TASKS[entry.task], {**entry.dimensions, **changed}
    identity = json.dumps([entry.factory, dimensions, entry.task], sort_keys=True, default=list)
    return ModelDefinition(
        name=entry.name,
        build=lambda: _built(entry.factory, dimensions),
        inputs=task.inputs_for({**dimensions, **entry.feeding}),
        loss=task.loss,
        batch_size=entry.batch_size,
        sequence_length=entry.sequence_length,
        image_size=entry.image_size,
        takes_images=entry.image_size is not None and "fixed_image_size" not in entry.feeding,
        resized=_resized(entry),
        find_depth=lambda: _network_depth(entry),
        step=_step(entry.step),
        source=entry.source,
        fingerprint=f"network {identity}",
    )


def _built(factory: str, dimensions: dict[str, Any]) -> torch.nn.Module:
    model: torch.nn.Module = _function(factory)(**dimensions)
    return model


def _function(path: str) -> Any:
    module, _, function = path.partition(":")
    lean_imports.prepare_own()
    return getattr(importlib.import_module(f"profiles.models.networks.{module}"), function)


def _step(path: str | None) -> Any:
    if path is None:
        return None
    return lambda *args, **kwargs: _function(path)(*args, **kwargs)


def _network_depth(entry: NetworkEntry) -> Depth | None:
    if entry.depth_key is None:
        return None
    key, layers = entry.depth_key, entry.dimensions[entry.depth_key]
    return Depth(layers, lambda count: _network(entry, **{key: count}), fewest=2)
