"""From a question to a profile: build the model and trace it. This is the only part of validation that needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware_db.errors import FlopcastError, ModelError

if TYPE_CHECKING:
    from estimator.validation.questions import ProfileQuestion
    from profiles.model_profile import ModelProfile


def trace(question: ProfileQuestion, base: Path) -> ModelProfile:
    """Profile one step at the size of the question; configuration files are relative to `base`.

    Raises
    ------
    FlopcastError
        The model cannot be found, built or run.
    """
    try:
        return _trace(question, question.model, base)
    except ModelError:
        if not _may_need_image_size(question):
            raise
        return _trace(question, f"{question.model},img_size={question.image_size}", base)


def _may_need_image_size(question: ProfileQuestion) -> bool:
    """Models of timm with learned positions are made for one image size."""
    return question.model.startswith("timm:") and question.image_size is not None


def _trace(question: ProfileQuestion, model: str, base: Path) -> ModelProfile:
    from profiles import profile_model

    with _attention(question.eager_attention):
        module, args, kwargs = _made(question, model, base)
        return profile_model(
            module,
            args,
            kwargs,
            mode=question.mode,
            precision=question.precision,
            optimizer=question.optimizer or "adamw",
            device=question.device,
        )


def _made(question: ProfileQuestion, model: str, base: Path) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    import torch

    from profiles.models import resolve

    definition = resolve(model, base=base)
    image = question.image_size if definition.takes_images else None
    sizes = definition.sizes(question.batch_size, question.sequence_length, image)
    with torch.device("meta"):
        module = definition.build()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    module.train(question.mode == "train")
    if question.mode == "forward":
        kwargs = {name: value for name, value in kwargs.items() if name not in definition.labels}
    return module, args, kwargs


@contextmanager
def _attention(eager: bool) -> Iterator[None]:
    """Attention as separate products inside, if `eager`: what PyTorch before 2.0 did."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if not eager:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


__all__ = ["FlopcastError", "trace"]
