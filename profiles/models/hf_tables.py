"""Which architectures the installed transformers has, read from its source without importing it (that takes seconds).

`transformers.models.auto` keeps plain tables of names: model type -> configuration class, and for every task
model type -> model class. They are parsed, never executed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from hardware_db.errors import MissingExtra, UnknownModel
from profiles.models.suggest import did_you_mean

# Task tables in the order in which a model type's usual training task is sought, by their name in transformers:
# MODEL_FOR_<key>_MAPPING_NAMES.
_PREFERENCE = (
    "SEQ_TO_SEQ_CAUSAL_LM",
    "SPEECH_SEQ_2_SEQ",
    "IMAGE_TEXT_TO_TEXT",
    "MULTIMODAL_LM",
    "MASKED_LM",
    "TEXT_TO_WAVEFORM",
    "CAUSAL_LM",
    "ZERO_SHOT_IMAGE_CLASSIFICATION",
    "IMAGE_CLASSIFICATION",
    "OBJECT_DETECTION",
    "SEMANTIC_SEGMENTATION",
    "UNIVERSAL_SEGMENTATION",
    "VIDEO_CLASSIFICATION",
    "CTC",
    "AUDIO_CLASSIFICATION",
    "TEXT_TO_SPECTROGRAM",
    "DEPTH_ESTIMATION",
    "PRETRAINING",
    "TIME_SERIES_PREDICTION",
    "IMAGE_TO_IMAGE",
)


def _source(name: str) -> Path:
    found = importlib.util.find_spec("transformers")
    if found is None or found.origin is None:
        raise MissingExtra(
            "A Hugging Face configuration needs transformers, which is not installed.\n"
            "pip install 'flopcast[huggingface]'"
        )
    return Path(found.origin).parent / "models" / "auto" / name


def _assigned(path: Path) -> dict[str, dict[str, str]]:
    """Return all tables `NAME = OrderedDict([(key, name), ...])` of a file."""
    tables: dict[str, dict[str, str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
            target, argument = node.targets[0], node.value.args[0]
            if isinstance(target, ast.Name) and isinstance(argument, ast.List):
                tables[target.id] = _entries(argument, tables)
    return tables


def _entries(pairs: ast.List, tables: dict[str, dict[str, str]]) -> dict[str, str]:
    """Read (key, name) pairs, (key, (name, other names)) pairs, and `*list(OTHER_TABLE.items())`."""
    found: dict[str, str] = {}
    for pair in pairs.elts:
        if isinstance(pair, ast.Starred):
            for part in ast.walk(pair):
                found |= tables.get(part.id, {}) if isinstance(part, ast.Name) else {}
        elif isinstance(pair, ast.Tuple):
            key, value = ast.literal_eval(pair)
            name = value[0] if isinstance(value, (tuple, list)) else value
            if isinstance(name, str):
                found[key] = name
    return found


@functools.cache
def model_types() -> frozenset[str]:
    """All model types transformers has a configuration for. Raises MissingExtra without transformers."""
    return frozenset(_assigned(_source("auto_mappings.py"))["CONFIG_MAPPING_NAMES"])


@functools.cache
def tasks() -> dict[str, dict[str, str]]:
    """Task -> model type -> class name: tasks()["CAUSAL_LM"]["gpt2"] is "GPT2LMHeadModel"; "" is the bare model."""
    tables = _assigned(_source("modeling_auto.py"))
    found = {"": tables["MODEL_MAPPING_NAMES"]}
    for name, table in tables.items():
        if name.startswith("MODEL_FOR_") and name.endswith("_NAMES"):
            found[name.removeprefix("MODEL_FOR_").removesuffix("_NAMES").removesuffix("_MAPPING")] = table
    return found


def check_model_type(model_type: str) -> None:
    """Raise UnknownModel, with the nearest names, where transformers has no such model type."""
    if model_type not in model_types():
        raise UnknownModel(
            f"transformers has no model type {model_type!r}.{did_you_mean(model_type, model_types())} "
            "Form: hf:llama,num_hidden_layers=32,hidden_size=4096#ForCausalLM"
        )


def heads(model_type: str) -> dict[str, str]:
    """Class name -> task for one model type, the usual training task first, the bare model last."""
    table = tasks()
    order = [*_PREFERENCE, *(task for task in table if task not in _PREFERENCE and task != ""), ""]
    found: dict[str, str] = {}
    for task in order:
        name = table.get(task, {}).get(model_type)
        if name is not None and name not in found:
            found[name] = task
    return found


@dataclass(frozen=True, slots=True)
class Head:
    """A model class of transformers and its task (see hf_tasks)."""

    class_name: str
    task: str


def find_head(model_type: str, head: str | None) -> Head:
    """Find the class for a head such as "ForCausalLM", "Model", a full class name, or None for the usual one.

    Raises UnknownModel where this model type has no such head.
    """
    known = heads(model_type)
    bare = tasks()[""].get(model_type)
    if head == "Model" and bare is not None:
        return Head(bare, "")
    if head is None and known:
        return Head(*next(iter(known.items())))
    for name, task in known.items():
        if head in (name, "For" + task.title().replace("_", "")):
            return Head(name, task)
    wanted = (head or "").lower()
    for name, task in known.items():
        if name.lower().endswith(wanted) or wanted == "for" + task.replace("_", "").lower():
            return Head(name, task)
    if not known:
        alone = f"Try hf:{model_type}#Model for the part alone, or" if bare else "Try"
        raise UnknownModel(
            f"transformers has no task that {model_type} is used for: it is part of another model.\n"
            f"{alone} the model that it is part of"
        )
    raise UnknownModel(f"{model_type} has no head {head!r}. It has: {', '.join(known)}")
