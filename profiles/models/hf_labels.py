"""Targets for a transformers model, by the rule its task names (see hf_tasks)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.models.hf_request import Request
from profiles.models.tensors import integers, ones

# Positions that the loss leaves out.
IGNORED = -100


def _tokens(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Learn the input itself; places of image and sound are no target."""
    ids = fed.get("input_ids")
    if ids is None or getattr(request.config, "is_encoder_decoder", False):
        return _targets(request, fed)
    labels = ids.clone()
    labels[:, : labels.shape[1] - request.sequence] = IGNORED
    return {"labels": labels}


def _targets(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {"labels": integers(request.vocabulary, request.batch, request.target)}


def _class(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {"labels": integers(request.classes, request.batch)}


def _token_classes(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {"labels": integers(request.classes, request.batch, request.sequence)}


def _span(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {name: integers(request.sequence, request.batch) for name in ("start_positions", "end_positions")}


def _choice(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {"labels": integers(1, request.batch)}


def _pretraining(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    both = {"next_sentence_label": integers(2, request.batch), "sentence_order_label": integers(2, request.batch)}
    return both | (_tokens(request, fed) if "input_ids" in fed else {})


def _pixel_classes(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    side = fed["pixel_values"].shape[-1]
    return {"labels": integers(request.classes, request.batch, side, side)}


def _answers(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Scores of all answers (visual question answering)."""
    return {"labels": ones(request.batch, request.classes).float()}


def _contrastive(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {"return_loss": True}


def _none(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    return {}


Rule = Callable[[Request, dict[str, Any]], dict[str, Any]]
RULES: dict[str, Rule] = {
    "": _none,
    "tokens": _tokens,
    "targets": _targets,
    "class": _class,
    "token classes": _token_classes,
    "span": _span,
    "choice": _choice,
    "pretraining": _pretraining,
    "pixel classes": _pixel_classes,
    "answers": _answers,
    "contrastive": _contrastive,
}
# Every name a rule may give: what only training needs.
LABEL_NAMES = (
    "labels",
    "next_sentence_label",
    "sentence_order_label",
    "start_positions",
    "end_positions",
    "return_loss",
)
