"""How many tokens each layer looks back, as far as a model's configuration tells: sliding windows, layer by layer.

Read from the text of the configuration, without transformers: what it does not state is its class's default, which
`windows.csv` holds for the classes that have windows.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from hardware_db.errors import FlopcastError
from profiles.models import hf_spec
from profiles.models.zoo import configurations

HUGGING_FACE: Final = "hf:"
FIRST_WINDOW_LAYER: Final = 28
"""Default of max_window_layers (transformers, Qwen2Config and Qwen3Config)."""

SLIDING: Final = "sliding_attention"
WRITING: Final = frozenset({"CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ"})
"""Tasks of models that write token by token."""


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Which layers of a class slide.

    Attributes
    ----------
    window
        default of sliding_window; None: none unless stated
    full_every
        every so many layers one attends to all tokens; 0: none does
    switch
        option that must be true for any layer to slide; empty: none needed
    first_layer
        option that holds the first layer that slides; empty: the first of all
    """

    window: int | None
    full_every: int
    switch: str
    first_layer: str
    source: str


@cache
def window_rules() -> dict[str, WindowRule]:
    """Return the classes of transformers that have windows, by model type."""
    with (files("estimator.memory") / "windows.csv").open(encoding="utf-8") as file:
        return {row["model_type"]: _rule(row) for row in csv.DictReader(file)}


def _rule(row: dict[str, str]) -> WindowRule:
    window = int(row["window"]) if row["window"] else None
    return WindowRule(window, int(row["full_every"]), row["switch"], row["first_layer"], row["source"])


def configuration_of(model: str) -> Mapping[str, Any] | None:
    """Return the options of a model's configuration, `model_type` among them; None where it has none that is read."""
    entry = configurations().get(model)
    text = entry.specification if entry else model.removeprefix(HUGGING_FACE)
    if entry is None and not model.startswith(HUGGING_FACE):
        return None
    try:
        spec = hf_spec.parse(text, None)
    except FlopcastError:
        return None
    return {**spec.options, "model_type": spec.model_type}


def writes_text(model: str) -> bool:
    """Whether a model writes token by token; of a model that is not known by name, that is not ruled out."""
    entry = configurations().get(model)
    return entry is None or entry.head.task in WRITING


def windows_of(configuration: Mapping[str, Any], layers: int) -> tuple[int | None, ...]:
    """Return the window of each layer in tokens; None for a layer that attends to all.

    Parameters
    ----------
    configuration
        options of a Hugging Face configuration (`config.json`)
    layers
        how many layers the model has
    """
    rule = window_rules().get(str(configuration.get("model_type")))
    window = configuration.get("sliding_window", rule.window if rule else None)
    named = configuration.get("layer_types")
    if isinstance(named, list) and window:
        return tuple(window if each == SLIDING else None for each in named[:layers])
    if rule is None or not window or (rule.switch and not configuration.get(rule.switch)):
        return (None,) * layers
    period = int(configuration.get("sliding_window_pattern") or rule.full_every)
    first = int(configuration.get(rule.first_layer, FIRST_WINDOW_LAYER)) if rule.first_layer else 0
    return tuple(window if at >= first and (not period or (at + 1) % period) else None for at in range(layers))


def unread_window(configuration: Mapping[str, Any]) -> bool:
    """Whether a window is stated of a class whose layers are not known here, so that it is not taken into account."""
    known = str(configuration.get("model_type")) in window_rules() or isinstance(configuration.get("layer_types"), list)
    off = configuration.get("use_sliding_window") is False
    return bool(configuration.get("sliding_window")) and not known and not off
