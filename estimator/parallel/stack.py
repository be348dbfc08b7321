"""The software that runs a split step: what it overlaps, what it keeps, and how it executes operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from estimator.timing import Execution

if TYPE_CHECKING:
    from hardware_db import Device


@dataclass(frozen=True, slots=True)
class Stack:
    """How a family of frameworks runs a split training step.

    Attributes
    ----------
    name
        for messages
    execution
        how operations are executed, see `estimator.timing`
    wire_gradient_bytes
        bytes a gradient takes in collectives where weights are 16 bits; else as many as the weight
    kept_gradient_bytes
        bytes of an accumulated gradient where weights are 16 bits; else as many as the weight
    fused_optimizer
        whether the optimizer reads and writes each of its tensors once
    overlaps_gradients
        ZeRO stages at which gradients are sent while the backward pass still runs
    fused_layers
        whether layers keep only what their fused kernels need for the backward pass
    half_weights
        ZeRO stages at which mixed precision computes in 16-bit copies of the weights, made once a step, instead of
        casting at every operation (autocast)
    """

    name: str
    execution: Execution
    wire_gradient_bytes: int
    kept_gradient_bytes: int
    fused_optimizer: bool
    overlaps_gradients: tuple[int, ...]
    fused_layers: bool
    half_weights: tuple[int, ...]


TORCH: Final = Stack("PyTorch", "eager", 4, 4, False, (0, 1, 2, 3), False, (3,))
"""DDP and FSDP (docs.pytorch.org/docs/stable/fsdp.html): gradients reduced in float32 unless asked for otherwise."""

FSDP: Final = Stack("PyTorch FSDP", "megatron", 4, 4, False, (0, 1, 2, 3), False, (2, 3))
"""Libraries for language models on FSDP (LLM Foundry, Composer): FlashAttention, fused activations and norms."""

MEGATRON: Final = Stack("Megatron", "megatron", 2, 4, True, (1, 2, 3), True, (0, 1, 2, 3))
"""Megatron-LM and NeMo: float32 main gradients, fused Adam; overlap came with the distributed optimizer
(github.com/NVIDIA/Megatron-LM, --overlap-grad-reduce)."""

XLA: Final = Stack("XLA", "graph", 2, 4, True, (0, 1, 2, 3), True, (0, 1, 2, 3))
"""JAX on TPUs and GPUs: one compiled graph; gradients are reduced in the type of the activations (bfloat16)."""

STACKS: Final = {stack.name.casefold(): stack for stack in (TORCH, FSDP, MEGATRON, XLA)}


def usual_stack(device: Device, model_parallel: bool) -> Stack:
    """Return what such a step is usually run with: XLA on TPUs, Megatron where layers are split, else PyTorch."""
    if device.kind == "tpu":
        return XLA
    return MEGATRON if model_parallel else TORCH
