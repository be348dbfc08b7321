"""What example inputs of a transformers model are made from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from profiles.models.hf_config import text_configuration
from profiles.models.hf_tasks import task_kind


@dataclass(frozen=True)
class Request:
    """A configuration, the task's name (see hf_tasks), the sizes asked for and what the model's forward takes.

    `target` tokens a decoder writes; `main_input` as transformers names it; `kind` the model's class.
    """

    config: Any
    task: str
    batch: int
    sequence: int
    image: int | None
    target: int
    kind: Any

    @property
    def forward(self) -> Callable[..., Any]:
        """The model's forward."""
        found: Callable[..., Any] = self.kind.forward
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all inputs the forward can take."""
        return tuple(name for name in inspect.signature(self.forward).parameters if name not in ("self", "kwargs"))

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the inputs the forward cannot do without."""
        found = inspect.signature(self.forward).parameters.values()
        return tuple(p.name for p in found if p.default is p.empty and p.kind in (0, 1, 3) and p.name != "self")

    @property
    def main_input(self) -> str:
        """Name of the one input that every call has."""
        name = self.kind.main_input_name
        return str(name[0] if isinstance(name, (list, tuple)) else name)

    @property
    def reads(self) -> str:
        """What the task reads, see TaskKind."""
        return task_kind(self.task).reads

    @property
    def text(self) -> Any:
        """The configuration of the part that reads text; the whole one where there are no parts."""
        return text_configuration(self.config)

    @property
    def vision(self) -> Any:
        """The configuration of the part that sees; the whole one where there are no parts."""
        return self.part("vision_config", "vq_config", "backbone_config")

    @property
    def audio(self) -> Any:
        """The configuration of the part that hears; the whole one where there are no parts."""
        return self.part(
            "audio_config", "audio_encoder_config", "encoder_config", "speech_config", "semantic_model_config"
        )

    def part(self, *names: str) -> Any:
        """First part of the configuration of these names; the whole one where there is none."""
        for name in names:
            found = getattr(self.config, name, None)
            if found is not None and hasattr(found, "to_dict"):
                return found
        return self.config

    def value(self, *names: str, default: Any = None) -> Any:
        """First attribute of these names in the configuration or its text, vision or audio part."""
        for part in (self.config, self.text, self.vision, self.audio):
            for name in names:
                found = getattr(part, name, None)
                if found is not None:
                    return found
        return default

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return int(getattr(self.text, "vocab_size", None) or self.value("vocab_size", default=2))

    @property
    def classes(self) -> int:
        """Number of classes of a classifier."""
        return int(getattr(self.config, "num_labels", 2))

    @property
    def channels(self) -> int:
        """Colour channels of an image."""
        names = ("num_channels", "in_channels", "in_chans")
        return int(next((getattr(self.vision, n) for n in names if isinstance(getattr(self.vision, n, None), int)), 3))

    @property
    def patch(self) -> int:
        """Side of an image patch in pixels."""
        return first(getattr(self.vision, "patch_size", None) or self.value("patch_size"), 16)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the image in pixels: as asked, else the configuration's own, else 224."""
        if self.image:
            return self.image, self.image
        own = _OWN_SHAPES.get(self.config.model_type) or _TASK_SHAPES.get(self.task)
        parts = (self.vision, getattr(self.vision, "backbone_config", None), self.config)
        for part in parts if own is None else ():
            for name in ("image_size", "input_size", "img_size"):
                own = own or getattr(part, name, None)
        own = tuple(own.values()) if isinstance(own, dict) else own
        if isinstance(own, (list, tuple)):
            return int(own[-2] if len(own) > 1 else own[0]), int(own[-1])
        return int(own or 224), int(own or 224)

    @property
    def image_side(self) -> int:
        """Width of the image in pixels."""
        return self.image_shape[1]


# Images of models whose configuration does not say: height and width, from their published processors.
_OWN_SHAPES = {
    "depth_pro": (1536, 1536), "rf_detr": (560, 560), "tvp": (448, 448), "pe_video": (336, 336),
    "pe_video_encoder": (336, 336), "pe_audio_video": (336, 336), "pe_audio_video_encoder": (336, 336),
    "perception_lm": (448, 448), "edgetam": (1024, 1024), "seggpt": (448, 448), "pp_ocrv5_mobile_rec": (96, 320),
}  # fmt: skip
_TASK_SHAPES = {"TEXT_RECOGNITION": (48, 320)}


def first(value: Any, default: int) -> int:
    """Return a size given as a number, a pair or a dict of height and width."""
    if isinstance(value, dict):
        value = next(iter(value.values()), None)
    if isinstance(value, (list, tuple)):
        value = value[-1] if value else None
    return int(value) if isinstance(value, (int, float)) and value else default
