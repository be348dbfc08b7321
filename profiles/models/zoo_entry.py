"""What is said of a network of our own: how it is built and fed, and where its dimensions come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One name of the zoo.

    factory     "module:function" in profiles.models.networks, called with `dimensions`
    parameters  as published or counted by hand from the source; tests hold the built network against it
    feeding     what the task's inputs need to know besides the dimensions
    step        "module:function" of a training step with several optimizers
    """

    name: str
    task: str
    factory: str
    parameters: int
    source: str
    dimensions: Mapping[str, Any] = field(default_factory=dict)
    feeding: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 1
    sequence_length: int | None = None
    image_size: int | None = None
    depth_key: str | None = None
    step: str | None = None
