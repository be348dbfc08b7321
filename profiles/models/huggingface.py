"""Models of the transformers package, built from a configuration: no download, no weights, no code of a repository."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError
from profiles.models import hf_adapters, hf_mended, hf_scans, hf_spec
from profiles.models.definition import Arguments, Depth, ModelDefinition
from profiles.models.hf_labels import LABEL_NAMES
from profiles.models.hf_spec import HuggingFaceSpec
from profiles.models.hf_tables import Head, check_model_type, find_head
from profiles.models.hf_tasks import T5_FAMILY, T5_TARGET_TOKENS, TaskKind, task_kind
from profiles.models.losses import model_loss
from profiles.models.placement import settle

if TYPE_CHECKING:
    import torch

DEFAULT_SEQUENCE = 512
LONGEST_DEFAULT_SEQUENCE = 1024
# Raw audio at 16 kHz: ten seconds.
DEFAULT_SAMPLES = 160_000
# Model types whose text is short, or of one length only: default number of tokens.
_OWN_SEQUENCES = {
    "clip": 77, "clip_text_model": 77, "clipseg": 77, "altclip": 77, "x-clip": 77, "xclip": 77, "groupvit": 77,
    "flava": 77,
    "chinese_clip": 52, "siglip": 64, "siglip2": 64, "align": 64, "owlvit": 16, "owlv2": 16, "vilt": 40,
    "sam3": 32, "perceiver": 2048, "reformer": 4096,
}  # fmt: skip
# Model types whose default configuration has fewer positions for text than DEFAULT_SEQUENCE.
_FEW_POSITIONS = {
    "blenderbot": 128, "whisper": 448, "camembert": 510, "data2vec-text": 510, "mpnet": 510, "roberta": 510,
    "xlm-roberta": 510,
}  # fmt: skip
# Model types that learn an embedding per position, and how many of these no token ever gets.
_LEARNED_POSITIONS = {
    "albert": 0, "bart": 0, "bert": 0, "biogpt": 0, "blenderbot": 0, "clip": 0, "distilbert": 0, "electra": 0,
    "gpt2": 0, "gpt_bigcode": 0, "gpt_neo": 0, "mbart": 0, "openai-gpt": 0, "opt": 0, "siglip": 0, "whisper": 0,
    "camembert": 2, "data2vec-text": 2, "mpnet": 2, "roberta": 2, "xlm-roberta": 2, "xlm-roberta-xl": 2,
}  # fmt: skip
_POSITIONS = ("max_position_embeddings", "n_positions", "max_target_positions", "n_ctx", "max_sequence_length")


def resolve(text: str, base: Path | None = None) -> ModelDefinition:
    """Read what follows "hf:". Raises UnknownModel, UsageError, MissingExtra (without transformers)."""
    spec = hf_spec.parse(text, base)
    check_model_type(spec.model_type)
    return define(spec, find_head(spec.model_type, spec.head), f"hf:{text}")


def define(spec: HuggingFaceSpec, head: Head, name: str, sequence_length: int | None = None) -> ModelDefinition:
    """Turn a parsed text into a definition; transformers is needed only when the definition is used."""
    kind = task_kind(head.task)

    def inputs(batch: int, sequence: int | None, image: int | None) -> Arguments:
        return _inputs(spec, head, batch, sequence, image)

    return ModelDefinition(
        name=name,
        build=lambda: _build(spec, head.class_name),
        inputs=inputs,
        loss=model_loss,
        sequence_length=sequence_length or _default_sequence(spec, kind),
        sequence_limit=_limit(spec.model_type, spec.options.get),
        takes_images="image" in kind.reads,
        resized=lambda side: define(dataclasses.replace(spec, side=side), head, name, sequence_length),
        labels=LABEL_NAMES,
        find_depth=lambda: _depth(spec, head, name, sequence_length),
        source=f"transformers, {head.class_name}",
        fingerprint=f"transformers {head.class_name} {spec.text()}",
        notes=_notes(spec),
    )


def _default_sequence(spec: HuggingFaceSpec, kind: TaskKind) -> int | None:
    if kind.reads in ("image", "series"):
        return None
    if kind.reads == "audio" and kind.labels != "targets":
        return DEFAULT_SAMPLES
    if spec.model_type in _OWN_SEQUENCES:
        return _OWN_SEQUENCES[spec.model_type]
    written = [int(spec.options[name]) for name in _POSITIONS if isinstance(spec.options.get(name), int)]
    if not written:
        return _FEW_POSITIONS.get(spec.model_type, DEFAULT_SEQUENCE)
    return min(
        LONGEST_DEFAULT_SEQUENCE, *written, _limit(spec.model_type, spec.options.get) or LONGEST_DEFAULT_SEQUENCE
    )


def _limit(model_type: str, option: Callable[[str], Any]) -> int | None:
    """Longest sequence of a model that learns one embedding per position; None for relative and rotary positions."""
    if model_type not in _LEARNED_POSITIONS:
        return None
    positions = next((option(name) for name in _POSITIONS if isinstance(option(name), int)), None)
    return None if positions is None else positions - _LEARNED_POSITIONS[model_type]


def _notes(spec: HuggingFaceSpec) -> tuple[str, ...]:
    mended = () if spec.published else hf_mended.note(spec.model_type, spec.options)
    notes = [*hf_adapters.note(spec), *mended, *hf_scans.note(spec.model_type)]
    if spec.model_type in T5_FAMILY and "decoder_sequence_length" not in spec.run:
        notes.append(
            f"the decoder writes {T5_TARGET_TOKENS} tokens, as in pre-training; decoder_sequence_length=N changes it"
        )
    if spec.options.get("quantization_config"):
        notes.append("quantization_config of the file is left out: weights are profiled in the precision of the run")
    if spec.options.get("auto_map"):
        notes.append(f"code named by auto_map is not run: transformers' own {spec.model_type} is used")
    return tuple(notes)


def _build(spec: HuggingFaceSpec, class_name: str) -> torch.nn.Module:
    from profiles.models import hf_config, hf_experts

    model: torch.nn.Module = hf_config.build(spec, class_name)
    hf_experts.free_of_data(model)
    return settle(hf_adapters.adapt(model, spec))


def _inputs(spec: HuggingFaceSpec, head: Head, batch: int, sequence: int | None, image: int | None) -> Arguments:
    from profiles.models import hf_config, hf_inputs
    from profiles.models.hf_request import Request

    config = hf_config.configuration(spec)
    kind = hf_config.model_class(spec, config, head.class_name)
    tokens = sequence or 1
    limit = _limit(spec.model_type, lambda name: getattr(hf_config.text_configuration(config), name, None))
    if limit is not None and tokens > limit:
        raise UsageError(f"{spec.model_type} has {limit:,} positions here; {tokens:,} were asked for")
    target = hf_inputs.target_tokens(spec.model_type, spec.run.get("decoder_sequence_length"), tokens)
    request = Request(config, head.task, batch, tokens, image, target, kind)
    return (), hf_inputs.make(request, lambda what, fed: _features(spec, head.class_name, what, fed))


def _features(spec: HuggingFaceSpec, class_name: str, what: str, fed: dict[str, Any]) -> int:
    """Places of the text that the images or sounds in `fed` take."""
    import torch

    from profiles.models.hf_features import count_features

    with torch.device("meta"):
        return count_features(_build(spec, class_name), what, fed)


def _depth(spec: HuggingFaceSpec, head: Head, name: str, sequence_length: int | None) -> Depth | None:
    import torch

    from profiles.models import hf_config, hf_depth

    def build(options: dict[str, Any]) -> torch.nn.Module:
        with torch.device("meta"):
            return _build(dataclasses.replace(spec, options=options), head.class_name)

    stack = hf_depth.find(spec.options, hf_config.configuration(spec), build)
    if stack is None:
        return None

    def with_layers(layers: int) -> ModelDefinition:
        fewer = dataclasses.replace(spec, options=stack.fewer(layers))
        return define(fewer, head, f"{name} with {layers} layers", sequence_length)

    return Depth(stack.layers, with_layers, stack.period, stack.fewest)
