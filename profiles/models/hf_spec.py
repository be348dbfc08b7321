"""The text of a Hugging Face model: `hf:llama,num_hidden_layers=32,hidden_size=4096#ForCausalLM`, `hf:config.json`.

Values are JSON (`true`, `0.1`, `[2,2,6,2]`), anything else is text; a dot reaches into a part:
`text_config.num_hidden_layers=8`. Nothing is downloaded and no code of a repository is run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hardware_db.errors import ModelError, UnknownModel, UsageError
from profiles.models.hf_mended import is_mended
from profiles.models.size_limits import check_sizes

# Ours, not options of a configuration: how the model is run.
RUN_OPTIONS = (
    "attn_implementation", "experts_implementation", "decoder_sequence_length", "lora", "lora_targets",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HuggingFaceSpec:
    """A model type, what its configuration changes from the defaults, how it is run, and the head.

    `published` says that the options are a whole configuration, whose rest is meant to be transformers' defaults.
    `side` is that of the images it is to be built for, where it is built for one; None: the configuration's own.
    `typed` are the options the user wrote by hand: those must exist; a published config.json may hold any.
    """

    model_type: str
    options: dict[str, Any] = field(default_factory=dict)
    typed: tuple[str, ...] = ()
    run: dict[str, Any] = field(default_factory=dict)
    head: str | None = None
    side: int | None = None
    published: bool = False

    def text(self) -> str:
        """Return one text per model: equal texts mean equal models."""
        more: list[int | str] = [self.side] if self.side is not None else []
        more += ["mended"] if is_mended(self.model_type) and not self.published else []
        return json.dumps([self.model_type, self.options, self.run, self.head, *more], sort_keys=True)


def parse(text: str, base: Path | None) -> HuggingFaceSpec:
    """Read what follows "hf:". Raises UsageError for a malformed option, UnknownModel for a missing file."""
    body, _, head = text.partition("#")
    first, given = parse_options(body)
    config = {"model_type": first}
    if first.endswith(".json"):
        config = read_config(first, base)
    options = {key: value for key, value in config.items() if key not in ("model_type", "architectures")}
    for key, value in given.items():
        if key not in RUN_OPTIONS:
            _set(options, key.split("."), value)
    check_sizes(options)
    run = {key: value for key, value in given.items() if key in RUN_OPTIONS}
    typed = tuple(key for key in given if key not in RUN_OPTIONS)
    found = HuggingFaceSpec(config["model_type"], options, typed, run, head or _architecture(config))
    return replace(found, published=first.endswith(".json"))


def parse_options(text: str) -> tuple[str, dict[str, Any]]:
    """Read "name,key=value,..." into the name and its options. Raises UsageError for a malformed option."""
    name, *pairs = split_options(text)
    return name, dict(_pair(pair) for pair in pairs)


def read_config(path: str, base: Path | None) -> dict[str, Any]:
    """Read a configuration file, relative to `base`. Raises UnknownModel or ModelError that say what it is instead."""
    file = (base or Path()) / path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnknownModel(f"Cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if isinstance(config, dict) and "trace" in config and "schema" in config:
        raise ModelError(
            f"{path} is a saved profile, not a configuration: it has been traced already.\n"
            f"Give it as it is: flopcast estimate {path}"
        )
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError(f"{path} has no 'model_type'; expected a Hugging Face config.json")
    return config


def split_options(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def parse_value(text: str) -> Any:
    """Read a JSON value; anything else is a text. Python's True, False and None are understood too."""
    spelled = {"True": True, "False": False, "None": None}
    if text in spelled:
        return spelled[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{text!r} is no option; expected key=value, for example num_hidden_layers=32")
    return key.strip(), parse_value(value.strip())


def _set(options: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        options[part] = dict(options.get(part) or {})
        options = options[part]
    options[path[-1]] = value


def _architecture(config: dict[str, Any]) -> str | None:
    architectures = config.get("architectures")
    return architectures[0] if isinstance(architectures, list) and architectures else None
