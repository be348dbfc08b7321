"""Token ids, and what goes with them."""

from __future__ import annotations

import sys
from typing import Any

from profiles.models.hf_request import Request
from profiles.models.tensors import floats, integers, ones

_PLACEHOLDERS = {
    "image": ("image_token_id", "image_token_index", "media_placeholder_token_id"),
    "audio": ("audio_token_id", "audio_token_index"),
}


def placeholder(request: Request, what: str) -> int | None:
    """Id of the token that stands for one feature of an image or sound; None where the model has none."""
    for name in _PLACEHOLDERS[what]:
        found = getattr(request.config, name, None)
        if isinstance(found, int):
            return found
    return None


def ids(request: Request, features: dict[int, int]) -> Any:
    """Return ids [batch, features + sequence]: first every placeholder as often as it has features, then text."""
    import torch

    special = [value for what in _PLACEHOLDERS if (value := placeholder(request, what)) is not None]
    text = integers(
        min([request.vocabulary, *(token for token in special if token > 0)]), request.batch, request.sequence
    )
    blocks = [torch.full((request.batch, count), token, device="cpu") for token, count in features.items()]
    return torch.cat([*blocks, text], dim=1)


def decoder_ids(request: Request) -> Any:
    """Ids the decoder reads, [batch, target]."""
    return integers(request.vocabulary, request.batch, request.target)


def beside(request: Request, length: int, features: int) -> dict[str, Any]:
    """Make the inputs as long as the ids that only some architectures take."""
    made: dict[str, Any] = {}
    if "mm_token_type_ids" in request.names or (features and "token_type_ids" in request.names):
        marks = ones(request.batch, length)
        marks[:, features:] = 0
        made |= {"mm_token_type_ids": marks, "token_type_ids": marks}
    if "position_ids" in request.names and _in_space(request):
        made["position_ids"] = _places(request, length)
    if "bbox" in request.names:
        made["bbox"] = _boxes(request, length)
    if "audio_codes" in request.required:
        made["audio_codes"] = integers(2, request.batch, length)
    return {name: value for name, value in made.items() if name in request.names}


def _in_space(request: Request) -> bool:
    """Tell models whose tokens have a place in time, height and width, which the data loader counts from the grids."""
    kinds = vars(sys.modules[request.kind.__module__]).values()
    return any(isinstance(kind, type) and hasattr(kind, "get_rope_index") for kind in kinds)


def _places(request: Request, length: int) -> Any:
    """Time, height, width (and image) of every token, [3 or 4, batch, length], as in a text: they decide no size."""
    import torch

    axes = len((getattr(request.text, "rope_parameters", None) or {}).get("mrope_section") or "thw")
    return torch.arange(length, device="cpu").repeat(axes, request.batch, 1)


def questions(request: Request) -> dict[str, Any]:
    """Make what a Q-Former is asked about the image, [batch, 32], where the model has one that reads."""
    if "qformer_input_ids" not in request.names:
        return {}
    return {"qformer_input_ids": integers(request.value("qformer_config").vocab_size, request.batch, 32)}


def states(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Make the hidden states that a part of a model requires from its owner: [batch, sequence, hidden]."""
    hidden = int(getattr(request.text, "hidden_size", None) or getattr(request.config, "d_model", 0) or 1)
    owner = int(getattr(request.config, "encoder_hidden_size", None) or hidden)
    sizes = {"hidden_states": hidden, "query_embeds": hidden, "inputs_embeds": hidden, "encoder_hidden_states": owner}
    wanted = [name for name in sizes if name in request.required and name not in fed]
    return {name: floats(request.batch, request.sequence, sizes[name]) for name in wanted}


def _boxes(request: Request, length: int) -> Any:
    """Places of the words on the page, [batch, length, 4] (8 corners for BROS), the same box for all."""
    if request.config.model_type == "bros":
        return floats(request.batch, length, 8)
    import torch

    return torch.tensor([0, 0, 10, 10], device="cpu").repeat(request.batch, length, 1)
