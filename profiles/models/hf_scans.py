"""Recurrences that transformers runs by a kernel of another package, or step by step in PyTorch where that is missing.

Counted is the step-by-step form, which needs no package and no GPU. Which types name which kernel is read from their
`modeling_*.py` of transformers 5.23; tests/test_models_scans.py holds the table against the installed files.
"""

from __future__ import annotations

from typing import Final

KERNELS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "selective_scan_fn": ("mamba-ssm", frozenset({"falcon_mamba", "jamba", "mamba", "zamba"})),
    "mamba_chunk_scan_combined": (
        "mamba-ssm",
        frozenset({"bamba", "falcon_h1", "granitemoehybrid", "mamba2", "nemotron_h", "zamba2"}),
    ),
    "chunk_gated_delta_rule": (
        "flash-linear-attention",
        frozenset({"olmo_hybrid", "qwen3_5", "qwen3_5_moe", "qwen3_next", "qwen4_exp"}),
    ),
    "chunk_kda": ("flash-linear-attention", frozenset({"bailing_hybrid", "glm5_next", "kimi_linear"})),
}
"""Kernel -> the package that has it, and the model types of transformers that ask for it."""


def note(model_type: str) -> tuple[str, ...]:
    """Return what a reader should know of a model type whose recurrence has a kernel of its own.

    Examples
    --------
    >>> note("gpt2")
    ()
    """
    return tuple(
        f"its scan is counted as PyTorch runs it without {package}; that package's {kernel} gives the same in one "
        "kernel, with less vector work, traffic and memory"
        for kernel, (package, types) in KERNELS.items()
        if model_type in types
    )
