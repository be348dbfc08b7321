"""What the text of a case says about the software that ran it, where that changes which kernels ran.

Only statements are used: a version of PyTorch, the attention that was asked for, the optimizer of a library. What is
not stated is taken to be current PyTorch with its defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from estimator.parallel.stack import FIRST_MEGATRON
from estimator.timing import MemoryFormat
from estimator.validation.cases import Case

_PYTORCH: Final = re.compile(r"torch\W{0,3}(\d+)\.(\d+)", re.IGNORECASE)
_TIMM_RESULTS: Final = re.compile(r"\bpt(\d)(\d{2})-c")
"""timm names its result files after the versions: pt113-cu117 is PyTorch 1.13, pt240-cu124 is 2.4.0."""

FUSED_ATTENTION: Final = (2, 0)
"""First PyTorch with scaled_dot_product_attention (release notes of 2.0)."""

# Frameworks other than PyTorch ("other": TensorFlow, MXNet) had no fused attention in the versions measured.
_HALF_WEIGHTS: Final = ("FusedAdam", "FusedLAMB", "apex", "FSDP")
"""NVIDIA apex: mixed precision of level O2 keeps the model itself in 16 bits (nvidia.github.io/apex/amp.html). FSDP
with MixedPrecision gathers parameters in 16 bits and computes in them (docs.pytorch.org/docs/stable/fsdp.html)."""

_HALF_STACKS: Final = ("megatron", "xla")
"""Megatron's Float16Module and JAX compute in 16-bit copies of the weights and keep float32 ones for the optimizer."""


PASSES_ALONE: Final = "docs model_doc/"
"""Pages of transformers' models: their training figures are of a script that minimises the sum of the logits, without
an optimizer. The memory they publish holds no states, and their times of few tokens are far below an optimizer's."""


CHANNELS_LAST_IN_MIXED: Final = "NVIDIA/DeepLearningExamples@", "PyTorch/Classification/ConvNets/"
"""Source whose mixed-precision runs have `memory_format: nhwc` in their configs.yml, and no others."""

COPIES_INPUT: Final = ("includes the host-to-device copy", "includes host-to-device copy")
CHANNELS: Final = 3
"""Of an image."""


@dataclass(frozen=True, slots=True)
class Software:
    """How a case was run, as far as its text says.

    eager_attention
        attention as separate products and softmax
    half_weights
        mixed precision that casts the whole model, so that every operation runs in 16 bits
    """

    eager_attention: bool = False
    half_weights: bool = False


def software_of(case: Case) -> Software:
    """Read the statements in a case's source and notes."""
    text = f"{case.source} {case.notes}"
    version = pytorch_version(text)
    old = version is not None and version < FUSED_ATTENTION
    old = old or case.compile == "other" or (case.compile == "megatron" and case.precision in FIRST_MEGATRON)
    eager = "attn=eager" in text or (old and "attn=sdpa" not in text)
    mixed = (case.precision or "").startswith("amp_")
    half = case.compile in _HALF_STACKS or any(name in text for name in _HALF_WEIGHTS)
    return Software(eager, mixed and half)


def memory_format_of(case: Case) -> MemoryFormat:
    """Return the layout of images: as the case says, or channels last where its source is known to run that."""
    mixed = (case.precision or "").startswith("amp_")
    if mixed and all(words in case.source for words in CHANNELS_LAST_IN_MIXED):
        return "channels_last"
    return case.memory_format


def runs_optimizer(case: Case) -> bool:
    """Whether the step that was measured has an optimizer's in it."""
    return case.training and case.scope in (None, "step") and not (PASSES_ALONE in case.source and not case.optimizer)


def copied_bytes(case: Case, kind: str) -> float:
    """Return the bytes of images that a step copies to a kind of device first, where the text says so; else 0."""
    said = kind != "cpu" and any(words in case.notes for words in COPIES_INPUT)
    if not said or case.micro_batch_size is None or case.image_size is None:
        return 0.0
    element = 2 if case.precision in ("float16", "bfloat16") else 4
    return float(case.accumulation * case.micro_batch_size * CHANNELS * case.image_size**2 * element)


def pytorch_version(text: str) -> tuple[int, int] | None:
    """Return the first version of PyTorch named in a text.

    Examples
    --------
    >>> pytorch_version("NGC torch 1.9.0a0"), pytorch_version("benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv")
    ((1, 9), (2, 4))
    """
    named = _PYTORCH.search(text)
    if named:
        return int(named[1]), int(named[2])
    packed = _TIMM_RESULTS.search(text)
    if packed is None:
        return None
    major, rest = int(packed[1]), packed[2]
    return major, int(rest if major == 1 else rest[0])
