"""What a measured case leaves open, filled in as its software does by default; every guess is said.

A row of a log rarely states everything. What decides a prediction and is missing or unknown is taken from what is
stated, else from what is usual, and named beside the prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from estimator.parallel.parallelism import CHECKPOINTING

if TYPE_CHECKING:
    from estimator.validation.cases import Case
    from hardware_db import Device

USUAL_PRECISIONS: Final = ("amp_bfloat16", "amp_float16", "float32")
"""What a training run takes where nothing is said: the first that its device has."""

CHECKPOINTING_WORDS: Final = {"selective_core_attn": "selective", "block": "full", "uniform": "full", "true": "full"}
"""Other words for activation checkpointing (Megatron-LM, --recompute-method and --recompute-granularity)."""


def completed(case: Case, device: Device) -> tuple[Case, tuple[str, ...]]:
    """Return a case without gaps that matter, and what was assumed for it."""
    changes: dict[str, Any] = {}
    if case.precision is None:
        changes["precision"] = next((each for each in USUAL_PRECISIONS if device.supports(each)), "float32")
    changes |= _checkpointing(case) | _batches(case)
    assumed = tuple(f"{name} {value}" for name, value in changes.items() if value is not None)
    return case.model_copy(update=changes), assumed


def _checkpointing(case: Case) -> dict[str, Any]:
    word = case.activation_checkpointing
    if word is None or word in CHECKPOINTING:
        return {}
    return {"activation_checkpointing": CHECKPOINTING_WORDS.get(word.lower(), "selective")}


def _batches(case: Case) -> dict[str, Any]:
    """Sizes of a step: the micro-batch from the global one, or the other way round.

    Layers that are split run one sample at a time where nothing is said, replicas their whole share. More devices than
    samples cannot all be replicas: the rest share the layers.
    """
    changes: dict[str, Any] = {}
    replicas = case.data_parallel or max(1, case.device_count // case.model_devices)
    total = case.global_batch_size
    if total is not None and total < replicas and replicas % total == 0 and case.data_parallel is None:
        changes["tensor_parallel"] = (case.tensor_parallel or 1) * (replicas // total)
        replicas = total
    micro = case.micro_batch_size
    if micro is None and total is not None:
        split = case.model_devices > 1 or "tensor_parallel" in changes
        micro = 1 if split else max(1, total // (replicas * case.accumulation))
        changes["micro_batch_size"] = micro
    if total is None and micro is not None:
        changes["global_batch_size"] = micro * case.accumulation * replicas
    return changes
