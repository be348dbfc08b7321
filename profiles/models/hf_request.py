"""What example inputs of a transformers model are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """A configuration, the task's name (see hf_tasks) and the sizes asked for; `target` tokens a decoder writes."""

    config: Any
    task: str
    batch: int
    sequence: int
    image: int | None
    target: int

    @property
    def text(self) -> Any:
        """The configuration of the part that reads text; the whole one where there are no parts."""
        return self.config.get_text_config()

    @property
    def vision(self) -> Any:
        """The configuration of the part that sees; the whole one where there are no parts."""
        return getattr(self.config, "vision_config", None) or self.config

    def value(self, *names: str, default: Any = None) -> Any:
        """First attribute of these names in the configuration or its text or vision part."""
        for part in (self.config, self.text, self.vision):
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
    def image_side(self) -> int:
        """Side of the image in pixels: as asked, else the configuration's own, else 224."""
        own = getattr(self.vision, "image_size", None) or getattr(self.vision, "input_size", None) or 224
        own = own[0] if isinstance(own, (list, tuple)) else own
        return int(self.image or (own if isinstance(own, int) else 224))
