"""Example inputs for a transformers model, from its configuration and the names its forward takes.

One function per input name. Attention masks are left out: every position counts, as in a packed training batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hardware_db.errors import UsageError
from profiles.models.hf_labels import RULES
from profiles.models.hf_request import Request
from profiles.models.hf_tasks import task_kind
from profiles.models.tensors import floats, integers

# Targets of pre-training in Raffel et al. 2020, arXiv 1910.10683, section 3.1.4: 512 tokens in, 114 out.
T5_TARGET_TOKENS = 114
T5_FAMILY = ("t5", "mt5", "umt5")


def _ids(request: Request) -> Any:
    return integers(request.vocabulary, request.batch, request.sequence)


def _decoder_ids(request: Request) -> Any:
    return integers(request.vocabulary, request.batch, request.target)


def _pixels(request: Request) -> Any:
    vision, side = request.vision, request.image_side
    channels = int(getattr(vision, "num_channels", None) or getattr(vision, "in_channels", None) or 3)
    frames = getattr(vision, "num_frames", None)
    if request.task == "VIDEO_CLASSIFICATION" and frames:
        return floats(request.batch, int(frames), channels, side, side)
    return floats(request.batch, channels, side, side)


def _features(request: Request) -> Any:
    """Log-mel features: [batch, mels, 2 x positions] of Whisper, else [batch, frames, mels]."""
    mels = int(request.value("num_mel_bins", "input_feat_per_channel", "feature_size", default=80))
    positions = getattr(request.config, "max_source_positions", None)
    if request.config.model_type == "whisper" and positions:
        return floats(request.batch, mels, 2 * int(positions))
    return floats(request.batch, request.sequence, mels)


def _waveform(request: Request) -> Any:
    return floats(request.batch, request.sequence)


MAKERS: dict[str, Callable[[Request], Any]] = {
    "input_ids": _ids,
    "decoder_input_ids": _decoder_ids,
    "pixel_values": _pixels,
    "input_features": _features,
    "input_values": _waveform,
}


def target_tokens(model_type: str, given: Any, sequence: int) -> int:
    """Tokens the decoder of an encoder-decoder writes: as given, 114 for T5, else as many as it reads."""
    if given is not None and (not isinstance(given, int) or given < 1):
        raise UsageError(f"decoder_sequence_length={given!r} is no number of tokens; expected 1 or more")
    return int(given or (T5_TARGET_TOKENS if model_type in T5_FAMILY else sequence))


def make(request: Request, forward: Callable[..., Any], main_input: str) -> dict[str, Any]:
    """Make the keyword arguments of one training step."""
    names = inspect.signature(forward).parameters
    kwargs = {name: MAKERS[name](request) for name in names if name in MAKERS and _is_fed(name, request, main_input)}
    if request.task == "MULTIPLE_CHOICE":
        kwargs["input_ids"] = kwargs["input_ids"].unsqueeze(1)
    labels = RULES[task_kind(request.task).labels](request)
    return kwargs | {name: value for name, value in labels.items() if name in names}


def _is_fed(name: str, request: Request, main_input: str) -> bool:
    """Tell whether an input the forward could take is one the model cannot do without."""
    if name == main_input:
        return True
    if name == "decoder_input_ids":
        return bool(getattr(request.config, "is_encoder_decoder", False))
    if name == "pixel_values":
        return hasattr(request.config, "vision_config")
    return name == "input_ids" and hasattr(request.text, "vocab_size") and main_input == "pixel_values"
