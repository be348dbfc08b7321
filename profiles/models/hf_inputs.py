"""Example inputs for a transformers model, from its configuration and the names its forward takes.

Attention masks are left out: every position counts, as in a packed training batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardware_db.errors import UsageError
from profiles.models import hf_particular, hf_series, hf_text
from profiles.models.hf_audio import audio_inputs
from profiles.models.hf_images import image_inputs
from profiles.models.hf_labels import RULES
from profiles.models.hf_request import Request
from profiles.models.hf_tasks import T5_FAMILY, T5_TARGET_TOKENS, task_kind

_SEEN = ("pixel_values", "pixel_values_videos", "flattened_patches", "grid_thw", "visual_feats", "visual_embeds")
_HEARD = ("input_features", "input_values", "input_audio", "audio_mel")
# Counts the features of an image ("image") or a sound ("audio") that enter the text, over the whole batch.
Count = Callable[[str, dict[str, Any]], int]


def target_tokens(model_type: str, given: Any, sequence: int) -> int:
    """Tokens the decoder of an encoder-decoder writes: as given, 114 for T5, else as many as it reads."""
    if given is not None and (not isinstance(given, int) or given < 1):
        raise UsageError(f"decoder_sequence_length={given!r} is no number of tokens; expected 1 or more")
    return int(given or (T5_TARGET_TOKENS if model_type in T5_FAMILY else sequence))


def make(request: Request, count: Count) -> dict[str, Any]:
    """Make the keyword arguments of one training step.

    `sequence_length` counts text; the places of an image's or a sound's features come on top.
    """
    if request.reads == "series" or request.main_input in ("past_values", "states"):
        return hf_series.series_inputs(request)
    fed: dict[str, Any] = {}
    if _sees(request):
        fed |= image_inputs(request)
    if _hears(request):
        fed |= audio_inputs(request)
    if _reads(request):
        fed |= _text(request, fed, count)
    fed |= hf_text.states(request, fed)
    if "decoder_input_ids" in request.names and getattr(request.config, "is_encoder_decoder", False):
        fed["decoder_input_ids"] = hf_text.decoder_ids(request)
    labels = RULES[task_kind(request.task).labels](request, fed)
    fed |= {name: value for name, value in labels.items() if name in request.names}
    return fed | hf_particular.inputs(request, fed)


def _sees(request: Request) -> bool:
    if request.main_input.startswith("pixel") or any(name in request.required for name in (*_SEEN, "grid_thw")):
        return True
    if "visual_feats" in request.names or "visual_embeds" in request.names:
        return True
    parts = request.vision is not request.config or "image" in request.reads
    return parts and any(name in request.names for name in _SEEN)


def _hears(request: Request) -> bool:
    if request.main_input in _HEARD or any(name in request.required for name in _HEARD):
        return True
    return request.audio is not request.config and any(name in request.names for name in _HEARD)


def _reads(request: Request) -> bool:
    return "input_ids" in request.names and hasattr(request.text, "vocab_size")


def _text(request: Request, fed: dict[str, Any], count: Count) -> dict[str, Any]:
    fed = fed | hf_text.questions(request)
    features: dict[int, int] = {}
    for what in ("image", "audio"):
        token = hf_text.placeholder(request, what)
        if token is not None and fed:
            features[token] = count(what, fed) // request.batch
    ids = hf_text.ids(request, features)
    made = {"input_ids": ids.unsqueeze(1) if request.task == "MULTIPLE_CHOICE" else ids} | hf_text.questions(request)
    return made | hf_text.beside(request, ids.shape[1], sum(features.values()))
