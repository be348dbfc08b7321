"""The repeated layers of a transformers model: how many, after how many the pattern repeats, and the model with fewer.

Two layers count as equal when their modules have the same types, parameter shapes and plain settings, and every
per-layer list of the configuration holds the same at both places. Probabilities (stochastic depth) do not count: they
change no shape.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardware_db.errors import FlopcastError
from profiles.models.hf_config import text_configuration

if TYPE_CHECKING:
    import torch

# Names of the number of layers; of several in one group all are set together (encoder and decoder of equal depth).
_LAYER_NAMES = (("encoder_layers", "decoder_layers"), ("num_layers", "num_decoder_layers"), ("num_hidden_layers",))
# Options that hold changes for some layers, by the number of the layer.
_BY_LAYER = ("per_layer_config",)
_POSITION_NAMES = ("layer_idx", "layer_id", "layer_number", "idx", "layer_index")
Builder = Callable[[dict[str, Any]], "torch.nn.Module"]


@dataclass(frozen=True, slots=True)
class Stack:
    """As Depth, with the options that give the model another number of layers."""

    layers: int
    period: int
    fewest: int
    fewer: Callable[[int], dict[str, Any]]


def layer_names(config: Any) -> tuple[str, ...]:
    """Names of the options that hold the number of layers; empty where there is no single such number."""
    for names in _LAYER_NAMES:
        values = [getattr(config, name, None) for name in names]
        if isinstance(values[0], int) and all(value == values[0] for value in values):
            return names
    return ()


def shortened(options: dict[str, Any], config: Any, names: tuple[str, ...], layers: int) -> dict[str, Any]:
    """Options of the same configuration with fewer layers: per-layer lists are cut to length."""
    full = getattr(config, names[0])
    cut: dict[str, Any] = {key: list(value)[:layers] for key, value in _lists(config, full).items()}
    written = config.to_dict()
    for name in _BY_LAYER:
        if isinstance(written.get(name), dict):
            cut[name] = {layer: own for layer, own in written[name].items() if int(layer) < layers}
    reverse = {alias: own for alias, own in getattr(config, "attribute_map", {}).items()}
    return options | cut | {reverse.get(name, name): layers for name in names}


def _lists(config: Any, layers: int) -> dict[str, Sequence[Any]]:
    """Every list of the configuration that has one entry per layer."""
    return {
        key: value
        for key, value in config.to_dict().items()
        if isinstance(value, (list, tuple)) and len(value) == layers and key != "architectures"
    }


Layers = dict[str, list[Hashable]]


def stacks(model: torch.nn.Module, layers: int) -> Layers:
    """Fingerprints of the layers of every outermost list of that many modules, by the list's path."""
    import torch

    lists = {path: part for path, part in model.named_modules() if isinstance(part, torch.nn.ModuleList)}
    outermost = {path for path in lists if not any(path.startswith(f"{other}.") for other in lists)}
    return {path: [_fingerprint(layer) for layer in lists[path]] for path in outermost if len(lists[path]) == layers}


def pattern(found: Layers, config: Any, layers: int) -> list[Hashable]:
    """What each layer is: its fingerprint in every stack, its entry in every per-layer list of the configuration."""
    lists = list(_lists(config, layers).values())
    return [
        (tuple(stack[index] for stack in found.values()), tuple(str(entries[index]) for entries in lists))
        for index in range(layers)
    ]


def _fingerprint(layer: torch.nn.Module) -> Hashable:
    parts = []
    for path, module in layer.named_modules():
        settings = tuple(
            (key, value)
            for key, value in sorted(vars(module).items())
            if isinstance(value, (bool, int, str, type(None))) and key not in _POSITION_NAMES
        )
        shapes = tuple((name, tuple(value.shape)) for name, value in module.named_parameters(recurse=False))
        parts.append((path, type(module).__name__, settings, shapes))
    return tuple(parts)


def period_and_prefix(types: list[Hashable]) -> tuple[int, int]:
    """Smallest period of the tail, and how many layers at the start do not follow it."""
    count = len(types)
    best = (count, 0)
    for period in range(1, count):
        prefix = next((i + 1 for i in range(count - period - 1, -1, -1) if types[i] != types[i + period]), 0)
        if prefix + period < best[0] + best[1]:
            best = (period, prefix)
    return best


def find(options: dict[str, Any], config: Any, build: Builder) -> Stack | None:
    """Look for the repeated layers; None where there are none, too few to repeat, or their number changes their kind.

    `build` makes the model from options, on the meta device.
    """
    text = text_configuration(config)
    key = next((name for name in getattr(config, "sub_configs", {}) if getattr(config, name, None) is text), None)
    names = layer_names(text)
    layers = getattr(text, names[0]) if names else 0
    whole = stacks(build(options), layers) if layers > 2 else {}
    if not whole:
        return None
    period, prefix = period_and_prefix(pattern(whole, text, layers))
    fewest = max(prefix + period, 2)
    fewest += (layers - fewest) % period

    def fewer(count: int) -> dict[str, Any]:
        inner = options if key is None else text.to_dict()
        cut = shortened(inner, text, names, count)
        return cut if key is None else options | {key: cut}

    if fewest >= layers:
        return None
    try:
        built = build(fewer(fewest))
    except FlopcastError:  # a number of layers that other options of this configuration do not allow
        return None
    short = {path: stack for path, stack in stacks(built, fewest).items() if path in whole}
    same = bool(short) and all(stack == whole[path][:fewest] for path, stack in short.items())
    return Stack(layers, period, fewest, fewer) if same else None
