"""A question to the profiler: which model, at which size, in which mode. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TARGETS = ("cuda", "cpu", "tpu")
"""Kinds of device whose kernels can be counted; ROCm and others that run CUDA's kernels count as "cuda"."""


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """Which profile is wanted; sizes left out are the model's own defaults.

    batch_size        samples
    sequence_length   tokens per sample
    image_size        pixels of a side
    mode              "train" or "forward" (inference)
    precision         float32, tf32, bfloat16, float16, amp_bfloat16, amp_float16, float8 ... or an alias
    optimizer         name of an optimizer; unused in forward mode
    device            kind of device whose kernels are counted: "cuda", "cpu", "tpu" ...
    """

    batch_size: int | None = None
    sequence_length: int | None = None
    image_size: int | None = None
    mode: Literal["train", "forward"] = "train"
    precision: str = "float32"
    optimizer: str = "adamw"
    device: str = "cuda"
