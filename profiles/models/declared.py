"""`params=7B,layers=32,hidden=4096`: sizes only, before any code exists.

A step then costs 6 FLOPs per parameter and token - 2 forward, 4 backward (Kaplan et al. 2020, arXiv 2001.08361, section
2.1) - and, where layers and hidden size are given, 12 x layers x hidden x sequence per token for attention in full
(Chowdhery et al. 2022, arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hardware_db.errors import UsageError
from hardware_db.units import parse_count
from profiles.models.definition import Arguments, DeclaredModel, Depth, ModelDefinition
from profiles.models.hf_spec import split_options
from profiles.models.size_limits import check_sizes
from profiles.models.suggest import did_you_mean
from profiles.models.tensors import floats

if TYPE_CHECKING:
    import torch

    from profiles.models.networks.described import Proportions

MOST_PARAMETERS = 10**15
DEFAULT_SEQUENCE = 1024
_KEYS = ("params", "active", "layers", "hidden", "sequence")
_FORM = "Expected params=7B, with layers=32,hidden=4096 for attention and active=2B for a mixture of experts"


def resolve(text: str, base: Path | None = None) -> ModelDefinition:
    """Read "params=7B,...". Raises UsageError for an unknown key or sizes that contradict each other."""
    given = dict(_pair(part) for part in split_options(text))
    if "params" not in given:
        raise UsageError(f"{text!r} does not say how many parameters the model has. {_FORM}")
    declared = DeclaredModel(
        parameters=given["params"],
        active_parameters=given.get("active", given["params"]),
        layers=given.get("layers"),
        hidden_size=given.get("hidden"),
    )
    _check(declared, text)
    definition = ModelDefinition(
        name=text,
        build=lambda: _build(_proportions(declared)),
        inputs=lambda batch, sequence, image: _inputs(declared, batch, sequence or 1),
        loss=lambda outputs, args, kwargs: outputs,
        sequence_length=given.get("sequence", DEFAULT_SEQUENCE),
        source="given by the user",
        fingerprint=f"declared {declared}",
        notes=(_note(declared),),
    )
    return replace(definition, find_depth=lambda: _depth(definition, _proportions(declared)))


def _pair(text: str) -> tuple[str, int]:
    key, equals, value = text.partition("=")
    if key not in _KEYS or not equals:
        raise UsageError(f"{text!r} is no size.{did_you_mean(key, _KEYS)} {_FORM}")
    return key, parse_count(value)


def _check(declared: DeclaredModel, text: str) -> None:
    if declared.parameters > MOST_PARAMETERS:
        raise UsageError(f"{text!r}: {declared.parameters:.3g} parameters are beyond any model: at most 1Q is counted")
    check_sizes({"layers": declared.layers, "hidden": declared.hidden_size})
    if declared.active_parameters > declared.parameters:
        raise UsageError(f"{text!r}: a token cannot meet more parameters (active) than there are (params)")
    if (declared.layers is None) != (declared.hidden_size is None):
        raise UsageError(f"{text!r}: attention needs both layers and hidden. {_FORM}")


def _note(declared: DeclaredModel) -> str:
    attention = "" if declared.layers is None else " + 12 x layers x hidden x sequence of attention"
    return f"no code was given: a step is taken as 6 FLOPs per parameter and token{attention}"


def _build(sizes: Proportions) -> torch.nn.Module:
    from profiles.models.networks.described import Described

    return Described(sizes)


def _proportions(declared: DeclaredModel) -> Proportions:
    from profiles.models.networks.described import Proportions

    return Proportions.of(declared.parameters, declared.active_parameters, declared.layers, declared.hidden_size)


def _depth(definition: ModelDefinition, sizes: Proportions) -> Depth:
    """All layers are equal: few of them are traced."""

    def with_layers(count: int) -> ModelDefinition:
        return replace(definition, build=lambda: _build(replace(sizes, layers=count)), find_depth=None)

    return Depth(sizes.layers, with_layers, fewest=2)


def _inputs(declared: DeclaredModel, batch: int, sequence: int) -> Arguments:
    from profiles.models.networks.described import width_for

    width = declared.hidden_size or width_for(declared.active_parameters)
    return (floats(batch, sequence, width),), {}
