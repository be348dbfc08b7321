"""From a measured case to the profile of the step that was measured: build the model and trace it at that size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hardware_db.errors import ModelError

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

Loop = Literal["loss", "sum of logits"]


@dataclass(frozen=True, slots=True)
class ProfileQuestion:
    """What decides the profile of a case.

    model             in the product's grammar, with `attn_implementation=eager` where Hugging Face takes it
    optimizer         None in forward mode
    eager_attention   attention as separate products, also for models that have no option for it
    device            kind of device whose kernels are traced
    loop              "loss": what training minimises is the model's own loss; "sum of logits": a loop that minimises
                      that, and whose outputs live until the next forward pass has replaced them
    """

    model: str
    mode: Literal["train", "forward"]
    precision: str
    optimizer: str | None
    batch_size: int
    sequence_length: int | None
    image_size: int | None
    eager_attention: bool
    device: str
    loop: Loop = "loss"

    @property
    def text(self) -> str:
        """Return one text a question, for keys and messages."""
        told = asdict(self)
        if self.loop == "loss":
            del told["loop"]
        return json.dumps(told, sort_keys=True)


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
        if question.loop == "sum of logits":
            from profiles.loops import profile_summing_loop

            return profile_summing_loop(module, args, kwargs, precision=question.precision, device=question.device)
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
