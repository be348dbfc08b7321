"""Targets for a transformers model, by the rule its task names (see hf_tasks)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.models.hf_request import Request
from profiles.models.tensors import integers

# Characters of the transcript that a speech recogniser learns from, per example.
TRANSCRIPT_CHARACTERS = 32


def _tokens(request: Request) -> dict[str, Any]:
    return {"labels": integers(request.vocabulary, request.batch, request.sequence)}


def _targets(request: Request) -> dict[str, Any]:
    return {"labels": integers(request.vocabulary, request.batch, request.target)}


def _class(request: Request) -> dict[str, Any]:
    return {"labels": integers(request.classes, request.batch)}


def _token_classes(request: Request) -> dict[str, Any]:
    return {"labels": integers(request.classes, request.batch, request.sequence)}


def _span(request: Request) -> dict[str, Any]:
    return {name: integers(request.sequence, request.batch) for name in ("start_positions", "end_positions")}


def _choice(request: Request) -> dict[str, Any]:
    return {"labels": integers(1, request.batch)}


def _pretraining(request: Request) -> dict[str, Any]:
    both = {"next_sentence_label": integers(2, request.batch), "sentence_order_label": integers(2, request.batch)}
    return both | _tokens(request)


def _pixel_classes(request: Request) -> dict[str, Any]:
    side = request.image_side
    return {"labels": integers(request.classes, request.batch, side, side)}


def _characters(request: Request) -> dict[str, Any]:
    return {"labels": integers(request.vocabulary, request.batch, TRANSCRIPT_CHARACTERS)}


def _contrastive(request: Request) -> dict[str, Any]:
    return {"return_loss": True}


RULES: dict[str, Callable[[Request], dict[str, Any]]] = {
    "": lambda request: {},
    "tokens": _tokens,
    "targets": _targets,
    "class": _class,
    "token classes": _token_classes,
    "span": _span,
    "choice": _choice,
    "pretraining": _pretraining,
    "pixel classes": _pixel_classes,
    "characters": _characters,
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
